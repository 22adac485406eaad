//! TLS: where the handshake and the certificates meet.
//!
//! Takes a socket; gives [`Established`], which exists only once the peer's identity is verified, the negotiated
//! group is one that this very peer may use, and the peer has not fallen back behind what it showed before.
//! Nothing of the peer's requests is read before that.

mod channel;
mod client;
mod refusal;
mod server;
mod tickets;
mod time;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::clock::Clock;
use pqlane_certs::revocation::Denials;
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::svid::X509Svid;
use pqlane_certs::verifier::{PeerError, PeerIdentity, PeerVerifier, Role};
use pqlane_handshake::client_hello::ClientHello;
use pqlane_handshake::kx::{Group, Strength};
use pqlane_handshake::observation::Observation;
use pqlane_handshake::resumption::{ClientTickets, DEFAULT_CLIENT_TICKETS, ServerTickets};
use pqlane_handshake::{HandshakeSummary, Negotiated, Requirement, Side};
use rustls::CommonState;
use rustls::pki_types::CertificateDer;
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_rustls::TlsStream;

use crate::deny::{Denial, DenyReason};
use crate::lifetime::{Held, Lifetime, Proofs, Retires};
use crate::limits::Limits;
use crate::peer_policy::PeerPolicies;
use crate::ratchet::{Downgrade, Offered, OnDowngrade, Ratchet, Turn};
use crate::transport::{HttpVersion, Metered};
pub(crate) use channel::{Channel, hex};
pub(crate) use client::TlsClient;
pub(crate) use refusal::TlsRefusal;
use refusal::refused_peer;
pub(crate) use server::TlsServer;
pub(crate) use tickets::Tickets;
use time::TimeOf;

/// ALPN protocol names (RFC 7301 §6, RFC 9113 §3.2), most preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A connection whose peer is known and whose key exchange is what the policy asks for.
#[derive(Debug)]
pub(crate) struct Established<S> {
    /// The encrypted stream, before its first application byte.
    pub(crate) stream: TlsStream<Metered<S>>,
    /// Who the peer proved to be.
    pub(crate) peer: LanePeer,
    /// What was negotiated.
    pub(crate) summary: HandshakeSummary,
    /// The connection's name at both ends.
    pub(crate) channel: Channel,
    /// What ALPN settled.
    pub(crate) version: HttpVersion,
    /// What the client offered, where we are the server.
    pub(crate) hello: Option<Box<ClientHello>>,
    /// The downgrade that was let pass with an alarm, if one was.
    pub(crate) alarm: Option<Downgrade>,
}

/// Who is at the other end of a lane, with all that it takes to judge it again.
#[derive(Debug, Clone)]
pub(crate) struct LanePeer {
    /// Who it proved to be.
    pub(crate) identity: PeerIdentity,
    /// The chain that it presented, leaf first.
    chain: Arc<[CertificateDer<'static>]>,
    /// What its policy asks about.
    negotiated: Negotiated,
    /// Its TLS role.
    role: Role,
}

impl LanePeer {
    /// Who it proved to be.
    pub(crate) fn spiffe_id(&self) -> &SpiffeId {
        self.identity.spiffe_id()
    }
}

/// What both TLS roles share.
#[derive(Debug, Clone)]
pub(crate) struct TlsSide {
    /// Who we are.
    pub(crate) own: X509Svid,
    /// What key exchange is asked of whom.
    pub(crate) policies: PeerPolicies,
    /// Judges peers.
    pub(crate) verifier: Arc<PeerVerifier>,
    /// Judges once more those of whom CNSA is asked, by its algorithms alone.
    pub(crate) cnsa_verifier: Arc<PeerVerifier>,
    /// Remembers who showed hybrid key exchange.
    pub(crate) ratchet: Arc<Ratchet>,
    /// Remembers who proved what.
    pub(crate) proofs: Arc<Proofs>,
    /// Knows every store of sessions.
    pub(crate) tickets: Arc<Tickets>,
    /// Judges our own SVID and dates in policies.
    pub(crate) clock: Arc<dyn Clock>,
    /// Bounds.
    pub(crate) limits: Limits,
    /// Handshakes under way, of all listeners together.
    pub(crate) in_flight: Arc<Semaphore>,
}

/// A finished TLS exchange, not yet judged.
struct Finished<S> {
    stream: TlsStream<Metered<S>>,
    observation: Observation,
    began: Instant,
    /// Groups that the configuration of this handshake could negotiate.
    permitted: Vec<&'static Group>,
    hello: Option<Box<ClientHello>>,
}

impl TlsSide {
    /// Runs one handshake within its limits and checks what came of it.
    async fn run<T>(
        &self,
        exchange: impl Future<Output = Result<T, TlsRefusal>>,
    ) -> Result<T, TlsRefusal> {
        self.own
            .check_valid_at(self.clock.now())
            .map_err(|expired| {
                Denial::with_detail(DenyReason::IdentityUnavailable, expired.to_string())
            })?;
        // Who has to wait for a place has its whole time after that. The semaphore is never closed.
        let _permit = self.in_flight.acquire().await.ok();
        tokio::time::timeout(self.limits.tls_handshake, exchange)
            .await
            .unwrap_or_else(|_elapsed| Err(DenyReason::HandshakeTimeout.into()))
    }

    /// Judges a finished exchange; a peer that fails is told goodbye before anything of it is read.
    async fn established<S>(
        &self,
        side: Side,
        finished: Finished<S>,
    ) -> Result<Established<S>, TlsRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Finished {
            mut stream,
            observation,
            began,
            permitted,
            hello,
        } = finished;
        let meter = stream.get_mut().0.finish();
        let connection: &CommonState = stream.get_ref().1;
        let duration = began.elapsed();
        let judged =
            HandshakeSummary::check(side, connection, &permitted, &observation, &meter, duration)
                .map_err(|wrong| {
                    Denial::with_detail(DenyReason::TlsProtocol, wrong.to_string()).into()
                })
                .and_then(|summary| {
                    let channel = Channel::of(&stream).map_err(|wrong| {
                        Denial::with_detail(DenyReason::TlsProtocol, wrong.to_string())
                    })?;
                    let (peer, alarm) = self.admit(side, connection, &summary, hello.as_deref())?;
                    Ok((summary, channel, peer, alarm))
                });
        let version = match connection.alpn_protocol() {
            Some(b"h2") => HttpVersion::H2,
            _ => HttpVersion::H1,
        };
        match judged {
            Ok((summary, channel, peer, alarm)) => Ok(Established {
                stream,
                peer,
                summary,
                channel,
                version,
                hello,
                alarm,
            }),
            Err(refusal) => {
                // A close_notify; whether it arrives changes nothing.
                let _ = stream.shutdown().await;
                Err(TlsRefusal { hello, ..refusal })
            }
        }
    }

    /// The peer of a finished handshake: its chain, its policy, and what it showed before.
    fn admit(
        &self,
        side: Side,
        connection: &CommonState,
        summary: &HandshakeSummary,
        hello: Option<&ClientHello>,
    ) -> Result<(LanePeer, Option<Downgrade>), TlsRefusal> {
        let chain: Arc<[_]> = connection.peer_certificates().unwrap_or_default().into();
        let role = match side {
            Side::Client => Role::Server,
            Side::Server => Role::Client,
        };
        let negotiated = Negotiated {
            group: summary.group,
            suite: summary.suite,
            peer_scheme: summary.peer_scheme,
        };
        let identity = self
            .identify(&chain, role)
            .map_err(|error| TlsRefusal::of_peer(&error))?;
        let peer = LanePeer {
            identity,
            chain,
            negotiated,
            role,
        };
        let proved = |denial| TlsRefusal::of_proved(denial, peer.identity.spiffe_id());
        self.judge_kx(&peer).map_err(proved)?;
        let id = peer.identity.spiffe_id();
        match self.ratchet.finished(id, summary.group, offered(hello)) {
            Turn::Downgraded(downgrade) => match downgrade.then {
                OnDowngrade::Alarm => Ok((peer, Some(downgrade))),
                OnDowngrade::Refuse => Err(TlsRefusal::of_downgraded(downgrade, id)),
            },
            Turn::Classical | Turn::First | Turn::Kept => Ok((peer, None)),
        }
    }

    /// The same rules with other trust bundles and another deny-list.
    pub(crate) fn under(&self, bundles: &Arc<TrustBundles>, denied: &Arc<dyn Denials>) -> Self {
        let under = |verifier: &PeerVerifier| {
            let (bundles, denied) = (Arc::clone(bundles), Arc::clone(denied));
            Arc::new(verifier.under(bundles, denied))
        };
        Self {
            verifier: under(&self.verifier),
            cnsa_verifier: under(&self.cnsa_verifier),
            ..self.clone()
        }
    }

    /// Judges the peer of an open connection by the rules of now: its chain, the deny-list, the allow-list, its
    /// policy. That its leaf may have expired is a matter of the connection's lifetime.
    ///
    /// # Errors
    /// The [`Denial`] that a new handshake of it would meet.
    pub(crate) fn judge_again(&self, peer: &LanePeer) -> Result<(), Denial> {
        let cnsa = self.asks_for_cnsa(peer.identity.spiffe_id());
        self.verifier
            .judge_open(&peer.chain, peer.role)
            .and_then(|()| match cnsa {
                true => self.cnsa_verifier.judge_open(&peer.chain, peer.role),
                false => Ok(()),
            })
            .map_err(|error| refused_peer(&error))?;
        self.judge_kx(peer)
    }

    /// Whether a peer whose handshake ended well has been denied since.
    ///
    /// # Errors
    /// The [`Denial`] that a new handshake of it would meet.
    pub(crate) fn not_denied(&self, peer: &LanePeer) -> Result<(), Denial> {
        match self.verifier.denies(&peer.identity) {
            Some(entry) => {
                let id = peer.spiffe_id().clone();
                Err(refused_peer(&PeerError::Denied { id, entry }))
            }
            None => Ok(()),
        }
    }

    fn identify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
    ) -> Result<PeerIdentity, PeerError> {
        let identity = self.verifier.identify(chain, role)?;
        match self.asks_for_cnsa(identity.spiffe_id()) {
            true => self.cnsa_verifier.identify(chain, role),
            false => Ok(identity),
        }
    }

    fn asks_for_cnsa(&self, peer: &SpiffeId) -> bool {
        self.policies.of(peer).requirement() == Requirement::Cnsa
    }

    fn judge_kx(&self, peer: &LanePeer) -> Result<(), Denial> {
        let id = peer.identity.spiffe_id();
        self.policies
            .judge(id, &peer.negotiated, self.clock.now())
            .map_err(|breach| Denial::with_detail(DenyReason::KxPolicy, format!("{id}: {breach}")))
    }

    /// A store for the sessions of one class of one listener, until the next change.
    fn server_tickets(&self) -> Arc<ServerTickets> {
        let capacity = self.limits.tls_sessions;
        let tickets = Arc::new(ServerTickets::new(capacity, self.time()));
        self.tickets.note_server(&tickets);
        tickets
    }

    /// A store for the sessions with one destination, until the next change.
    fn client_tickets(&self) -> Arc<ClientTickets> {
        let tickets = ClientTickets::new(DEFAULT_CLIENT_TICKETS, self.time());
        self.tickets.note_client(&tickets);
        tickets
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::new(TimeOf(Arc::clone(&self.clock)))
    }

    /// How long a connection with this peer may be used.
    pub(crate) fn lifetime(&self, peer: &LanePeer, retires: Retires) -> Lifetime {
        let own = Held {
            id: self.own.id(),
            not_after: self.own.leaf().not_after().as_secs(),
        };
        let theirs = Held {
            id: peer.identity.spiffe_id(),
            not_after: peer.identity.not_after().as_secs(),
        };
        Lifetime::new(
            own,
            theirs,
            retires,
            self.limits.stream_max_age,
            Arc::clone(&self.proofs),
            Arc::clone(&self.clock),
        )
    }
}

/// Whether a client could have done hybrid.
fn offered(hello: Option<&ClientHello>) -> Offered {
    let Some(hello) = hello else {
        return Offered::NotSeen;
    };
    let hybrid = hello
        .groups
        .iter()
        .filter_map(|group| Group::by_code_point(*group))
        .any(|group| group.strength != Strength::Classical);
    match hybrid {
        true => Offered::Hybrid,
        false => Offered::NoHybrid,
    }
}

/// Polls a handshake so that what its verifier and signer see lands in `observation`.
async fn observed<F: Future>(observation: &mut Observation, handshake: F) -> F::Output {
    let mut handshake = pin!(handshake);
    poll_fn(|context| observation.during(|| handshake.as_mut().poll(context))).await
}

/// What a peer is told when its certificate is refused.
fn alert_for(refusal: &rustls::Error) -> rustls::Error {
    match PeerError::from_rustls(refusal) {
        Some(error) => error.alert_error(),
        None => refusal.clone(),
    }
}

/// What the peer said, if a stream failed because it sent a fatal alert.
pub(crate) fn peer_alert(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref()?;
    match inner {
        rustls::Error::AlertReceived(_) => {
            Some(format!("{}: {inner}", DenyReason::PeerAlert.code()))
        }
        _ => None,
    }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

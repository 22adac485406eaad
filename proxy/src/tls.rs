//! TLS: where the handshake and the certificates meet.
//!
//! Takes a socket; gives [`Established`], which exists only once the peer's identity is verified and the
//! negotiated group is one that the policy permits. Nothing of the peer's requests is read before that.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use pqlane_certs::svid::{SvidError, X509Svid};
use pqlane_certs::verifier::{PeerError, PeerIdentity, PeerVerifier, Role};
use pqlane_handshake::client_config::client_config;
use pqlane_handshake::kx::group_name;
use pqlane_handshake::observation::Observation;
use pqlane_handshake::provider::provider;
use pqlane_handshake::server_config::server_config;
use pqlane_handshake::{HandshakeSummary, KxPolicy, Side};
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, CommonState, PeerIncompatible, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

use crate::deny::{Denial, DenyReason};
use crate::limits::Limits;
use crate::transport::{HttpVersion, Metered, linger};

/// ALPN protocol names (RFC 7301 §6, RFC 9113 §3.2), most preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A connection whose peer is known and whose key exchange is what the policy asks for.
#[derive(Debug)]
pub(crate) struct Established<S> {
    /// The encrypted stream, before its first application byte.
    pub(crate) stream: TlsStream<Metered<S>>,
    /// Who the peer proved to be.
    pub(crate) peer: PeerIdentity,
    /// What was negotiated.
    pub(crate) summary: HandshakeSummary,
    /// What ALPN settled.
    pub(crate) version: HttpVersion,
}

/// A handshake that did not end in [`Established`].
#[derive(Debug, Clone)]
pub(crate) struct TlsRefusal {
    /// Why, and in the verifier's or rustls's own words.
    pub(crate) denial: Denial,
    /// Groups the client offered, by registry name; known only where we are the server.
    pub(crate) offered: Vec<String>,
}

/// What both TLS roles share.
#[derive(Debug, Clone)]
pub(crate) struct TlsSide {
    policy: KxPolicy,
    verifier: Arc<PeerVerifier>,
    limits: Limits,
    in_flight: Arc<Semaphore>,
}

impl TlsSide {
    /// Peers of one listener or route. `in_flight` bounds the handshakes of all of them together.
    pub(crate) fn new(
        policy: KxPolicy,
        verifier: Arc<PeerVerifier>,
        limits: &Limits,
        in_flight: Arc<Semaphore>,
    ) -> Self {
        Self {
            policy,
            verifier,
            limits: limits.clone(),
            in_flight,
        }
    }

    /// Runs one handshake within its limits and checks what came of it.
    async fn run<T>(
        &self,
        exchange: impl Future<Output = Result<T, TlsRefusal>>,
    ) -> Result<T, TlsRefusal> {
        // Who has to wait for a place has its whole time after that. The semaphore is never closed.
        let _permit = self.in_flight.acquire().await.ok();
        tokio::time::timeout(self.limits.tls_handshake, exchange)
            .await
            .unwrap_or_else(|_elapsed| Err(DenyReason::HandshakeTimeout.into()))
    }

    fn established<S>(
        &self,
        side: Side,
        mut stream: TlsStream<Metered<S>>,
        observation: &Observation,
        began: Instant,
    ) -> Result<Established<S>, TlsRefusal> {
        let meter = stream.get_mut().0.finish();
        let connection: &CommonState = stream.get_ref().1;
        let summary = HandshakeSummary::check(
            side,
            connection,
            self.policy.groups(),
            observation,
            &meter,
            began.elapsed(),
        )
        .map_err(|wrong| Denial::with_detail(DenyReason::TlsProtocol, wrong.to_string()))?;
        let chain = connection.peer_certificates().unwrap_or_default();
        let role = match side {
            Side::Client => Role::Server,
            Side::Server => Role::Client,
        };
        let peer = self
            .verifier
            .identify(chain, role)
            .map_err(|error| refused_peer(&error))?;
        let version = match connection.alpn_protocol() {
            Some(b"h2") => HttpVersion::H2,
            _ => HttpVersion::H1,
        };
        Ok(Established {
            stream,
            peer,
            summary,
            version,
        })
    }
}

/// The server role, towards peers that call in.
#[derive(Debug, Clone)]
pub(crate) struct TlsServer {
    side: TlsSide,
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// # Errors
    /// [`rustls::Error`] when the policy leaves no working configuration.
    pub(crate) fn new(side: TlsSide, svid: &X509Svid) -> Result<Self, rustls::Error> {
        let config = server_config(
            provider(&side.policy),
            Arc::clone(&side.verifier) as _,
            alert_for,
            svid.certified_key(),
            &ALPN,
            None,
        )?;
        Ok(Self {
            side,
            config: Arc::new(config),
        })
    }

    /// Answers one ClientHello.
    ///
    /// # Errors
    /// [`TlsRefusal`] with the reason and what the client offered; the client has been sent an alert.
    pub(crate) async fn accept<S>(&self, socket: S) -> Result<Established<S>, TlsRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.side.run(self.exchange(socket)).await
    }

    async fn exchange<S>(&self, socket: S) -> Result<Established<S>, TlsRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let began = Instant::now();
        let mut hello = LazyConfigAcceptor::new(Acceptor::default(), Metered::new(socket));
        let start = match (&mut hello).await {
            Ok(start) => start,
            Err(failed) => {
                if let Some(socket) = hello.take_io() {
                    linger(socket.into_inner()).await;
                }
                return Err(refusal(&failed, None));
            }
        };
        let offered = start
            .client_hello()
            .named_groups()
            .map(|groups| {
                groups
                    .iter()
                    .map(|group| group_name(*group).into_owned())
                    .collect()
            })
            .unwrap_or_default();
        let mut observation = Observation::default();
        // The hello is answered, and so signed for, as soon as the configuration is chosen.
        let accept = observation.during(|| start.into_stream(Arc::clone(&self.config)));
        let accept = accept.into_fallible();
        match observed(&mut observation, accept).await {
            Ok(stream) => self
                .side
                .established(Side::Server, stream.into(), &observation, began),
            Err((failed, socket)) => {
                linger(socket.into_inner()).await;
                let mut refusal = refusal(&failed, observation.refusal.as_ref());
                refusal.offered = offered;
                Err(refusal)
            }
        }
    }
}

/// The client role, towards peers that are called.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    side: TlsSide,
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// # Errors
    /// [`rustls::Error`] when the policy leaves no working configuration.
    pub(crate) fn new(side: TlsSide, svid: &X509Svid) -> Result<Self, rustls::Error> {
        let config = client_config(
            provider(&side.policy),
            Arc::clone(&side.verifier) as _,
            alert_for,
            svid.certified_key(),
            &ALPN,
        )?;
        Ok(Self {
            side,
            config: Arc::new(config),
        })
    }

    /// Opens a lane. `name` goes into the hello; the peer is known by its SPIFFE ID, not by it.
    ///
    /// # Errors
    /// [`TlsRefusal`]; nothing weaker is tried.
    pub(crate) async fn connect<S>(
        &self,
        name: ServerName<'static>,
        socket: S,
    ) -> Result<Established<S>, TlsRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.side.run(self.exchange(name, socket)).await
    }

    async fn exchange<S>(
        &self,
        name: ServerName<'static>,
        socket: S,
    ) -> Result<Established<S>, TlsRefusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let began = Instant::now();
        let mut observation = Observation::default();
        let connect = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, Metered::new(socket))
            .into_fallible();
        match observed(&mut observation, connect).await {
            Ok(stream) => self
                .side
                .established(Side::Client, stream.into(), &observation, began),
            Err((failed, socket)) => {
                linger(socket.into_inner()).await;
                Err(refusal(&failed, observation.refusal.as_ref()))
            }
        }
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

impl From<Denial> for TlsRefusal {
    fn from(denial: Denial) -> Self {
        Self {
            denial,
            offered: Vec::new(),
        }
    }
}

impl From<DenyReason> for TlsRefusal {
    fn from(reason: DenyReason) -> Self {
        Denial::from(reason).into()
    }
}

/// Finds the reason in a failed handshake: what our verifier said, or else what rustls says.
fn refusal(failed: &io::Error, verifier_said: Option<&rustls::Error>) -> TlsRefusal {
    if let Some(error) = verifier_said.and_then(PeerError::from_rustls) {
        return refused_peer(error).into();
    }
    let Some(error) = failed
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return Denial::with_detail(DenyReason::HandshakeAborted, failed.to_string()).into();
    };
    let reason = match error {
        rustls::Error::NoCertificatesPresented => DenyReason::NoPeerCertificate,
        rustls::Error::PeerIncompatible(incompatible) => match incompatible {
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired => DenyReason::NoHybridGroup,
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => DenyReason::TlsVersion,
            _ => DenyReason::TlsProtocol,
        },
        rustls::Error::AlertReceived(_) => DenyReason::PeerAlert,
        _ => DenyReason::TlsProtocol,
    };
    Denial::with_detail(reason, error.to_string()).into()
}

/// Sorts the verifier's refusals into reasons. Only a proved ID is ever named as the one refused.
fn refused_peer(error: &PeerError) -> Denial {
    use DenyReason as R;
    let reason = match error {
        PeerError::ChainTooLong { .. } => R::ChainTooLong,
        PeerError::Expired { .. } => R::SvidExpired,
        PeerError::NotYetValid { .. } => R::SvidNotYetValid,
        PeerError::Leaf(leaf) => refused_leaf(leaf),
        PeerError::MalformedCertificate { .. } | PeerError::MalformedIssuer { .. } => {
            R::SvidMalformed
        }
        PeerError::NoCertificate => R::NoPeerCertificate,
        PeerError::Denied { .. } | PeerError::NotAllowed { .. } => R::PeerNotAllowed,
        PeerError::Signature(_) => R::PeerSignature,
        PeerError::Tls12 => R::TlsVersion,
        PeerError::UnknownTrustDomain { .. } => R::TrustDomainUnknown,
        PeerError::WrongPurpose { .. } => R::SvidKeyUsage,
        PeerError::CrlExpired { .. }
        | PeerError::CrlUnusable { .. }
        | PeerError::InvalidPath { .. }
        | PeerError::IssuerExpired { .. }
        | PeerError::IssuerKeyUsage { .. }
        | PeerError::IssuerNotYetValid { .. }
        | PeerError::Revoked { .. }
        | PeerError::UnhandledExtension { .. }
        | PeerError::Untrusted { .. }
        | PeerError::UriNameConstraints { .. } => R::IssuerUntrusted,
    };
    Denial::with_detail(reason, with_causes(error))
}

fn refused_leaf(error: &SvidError) -> DenyReason {
    use DenyReason as R;
    match error {
        SvidError::Expired { .. } => R::SvidExpired,
        SvidError::NotYetValid { .. } => R::SvidNotYetValid,
        SvidError::LeafIsCa => R::SvidLeafIsCa,
        SvidError::ManyUriSans { .. } => R::SvidManyUriSans,
        SvidError::NoUriSan => R::SvidNoUriSan,
        SvidError::NoPath { .. } | SvidError::NotSpiffeId(_) | SvidError::UriNotText => {
            R::SvidNotSpiffeId
        }
        SvidError::LeafSignsCertificates
        | SvidError::LeafSignsCrls
        | SvidError::NoDigitalSignature
        | SvidError::NoKeyUsage => R::SvidKeyUsage,
        // The rest concerns reading: files of our own, or a leaf that is no certificate.
        _ => R::SvidMalformed,
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

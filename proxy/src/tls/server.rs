//! The server role, towards peers that call in.

use std::sync::Arc;
use std::time::Instant;

use pqlane_handshake::client_hello::{self, ClientHello};
use pqlane_handshake::kx::{Group, Strength};
use pqlane_handshake::observation::{Observation, TicketRule};
use pqlane_handshake::provider::{SignatureProfile, provider_for};
use pqlane_handshake::server_config::server_config;
use pqlane_handshake::{KxClass, KxClasses, Side};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::refusal::refusal;
use super::{ALPN, Established, Finished, TlsRefusal, TlsSide, alert_for, observed};
use crate::config::Resumption;
use crate::transport::{Metered, linger};

/// Most bytes of a hello that are kept to be read: one in records of reasonable size. rustls reads others too, and
/// then there is no record of what was offered.
const MOST_KEPT: usize = client_hello::MAX_HELLO_BYTES + 1024;

/// The server role, towards peers that call in.
#[derive(Debug)]
pub(crate) struct TlsServer {
    side: Arc<TlsSide>,
    classes: KxClasses,
    /// One configuration, with tickets of its own, for each class of hello.
    answers: Vec<(KxClass, Arc<ServerConfig>)>,
    strictest: Arc<ServerConfig>,
}

impl TlsServer {
    /// # Errors
    /// [`rustls::Error`] when the policy leaves no working configuration.
    pub(crate) fn new(side: TlsSide, resumption: Resumption) -> Result<Self, rustls::Error> {
        let policies: Vec<_> = side.policies.all().collect();
        let classes = KxClasses::of(&policies);
        let profile = side.policies.profile();
        let answers: Vec<(KxClass, Arc<ServerConfig>)> = classes
            .iter()
            .map(|(class, groups)| {
                let tickets = (resumption == Resumption::On && resumable(class, profile))
                    .then(|| side.server_tickets());
                let mut config = server_config(
                    provider_for(groups, profile),
                    Arc::clone(&side.verifier) as _,
                    alert_for,
                    side.own.certified_key(),
                    &ALPN,
                    tickets,
                )?;
                // CNSA has one suite, and ours is the order that begins with it.
                config.ignore_client_order = class == KxClass::Cnsa;
                Ok((class, Arc::new(config)))
            })
            .collect::<Result<_, rustls::Error>>()?;
        let strictest = match answers.first() {
            Some((_, config)) => Arc::clone(config),
            None => return Err(rustls::Error::General("no key-exchange group".to_owned())),
        };
        Ok(Self {
            side: Arc::new(side),
            classes,
            answers,
            strictest,
        })
    }

    /// What both roles share.
    pub(crate) fn side(&self) -> &Arc<TlsSide> {
        &self.side
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
        let socket = Metered::capturing(socket, MOST_KEPT);
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), socket);
        let mut start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(failed) => {
                let mut refusal = refusal(&failed, None);
                if let Some(mut socket) = acceptor.take_io() {
                    refusal.hello = client_hello::read(&socket.captured()).ok().map(Box::new);
                    linger(socket.into_inner()).await;
                }
                return Err(refusal);
            }
        };
        let hello = client_hello::read(&start.io.captured()).ok().map(Box::new);
        let (config, permitted) = self.answer(&start);
        let mut observation = Observation {
            tickets: ticket_rule(&permitted, hello.as_deref()),
            ..Observation::default()
        };
        // The hello is answered, and so signed for, as soon as the configuration is chosen.
        let accept = observation.during(|| start.into_stream(config));
        let accept = accept.into_fallible();
        match observed(&mut observation, accept).await {
            Ok(stream) => {
                let finished = Finished {
                    stream: stream.into(),
                    observation,
                    began,
                    permitted,
                    hello,
                };
                self.side.established(Side::Server, finished).await
            }
            Err((failed, socket)) => {
                linger(socket.into_inner()).await;
                let mut refusal = refusal(&failed, observation.refusal.as_ref());
                refusal.hello = hello;
                Err(refusal)
            }
        }
    }

    /// The strictest configuration that the client can meet: whoever can do hybrid is taken there, whatever the
    /// order of its offer.
    fn answer<S>(&self, start: &StartHandshake<S>) -> (Arc<ServerConfig>, Vec<&'static Group>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = start.client_hello();
        let now = self.side.clock.now();
        let (chosen, groups) = self.classes.choose(hello.named_groups(), now);
        let config = self
            .answers
            .iter()
            .find_map(|(class, config)| (*class == chosen).then_some(config))
            .unwrap_or(&self.strictest);
        (Arc::clone(config), groups.to_vec())
    }
}

/// Whether sessions of a class may be resumed. A resumed handshake does not show again with what its peer signed: where
/// CNSA is asked of some peers only, whoever was refused for that would come in with the ticket that it got before it
/// was judged. Where it is asked of all, nothing but ML-DSA-87 can have signed.
fn resumable(class: KxClass, profile: SignatureProfile) -> bool {
    match class {
        KxClass::Classical => false,
        KxClass::Cnsa => profile == SignatureProfile::Cnsa,
        KxClass::PostQuantum => true,
    }
}

/// A ticket is given for a hybrid handshake whose first hello had a share that could be used.
fn ticket_rule(permitted: &[&'static Group], hello: Option<&ClientHello>) -> TicketRule {
    let usable = |group: &&Group| {
        group.strength != Strength::Classical
            && hello.is_some_and(|hello| {
                hello
                    .shares
                    .iter()
                    .any(|(shared, _)| *shared == group.named_group)
            })
    };
    match permitted.iter().any(usable) {
        true => TicketRule::Give,
        false => TicketRule::Withhold,
    }
}

//! The client role, towards peers that are called.

use std::sync::Arc;
use std::time::Instant;

use pqlane_handshake::Side;
use pqlane_handshake::client_config::{client_config, with_tickets};
use pqlane_handshake::kx::Group;
use pqlane_handshake::observation::Observation;
use pqlane_handshake::provider::provider_for;
use pqlane_handshake::resumption::ClientTickets;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::refusal::refusal;
use super::{ALPN, Established, Finished, LanePeer, TlsRefusal, TlsSide, alert_for, observed};
use crate::config::Resumption;
use crate::lifetime::{Lifetime, Retires};
use crate::transport::{Metered, linger};

/// The client role, towards peers that are called.
#[derive(Debug)]
pub(crate) struct TlsClient {
    side: TlsSide,
    strict: Arc<ClientConfig>,
    /// With classical groups after the others; used while a policy allows them.
    soft: Option<Arc<ClientConfig>>,
    resumption: Resumption,
    /// Also remembers the hybrid group that worked, which saves a second HelloRetryRequest.
    tickets: Arc<ClientTickets>,
}

impl TlsClient {
    /// # Errors
    /// [`rustls::Error`] when the policy leaves no working configuration.
    pub(crate) fn new(side: TlsSide, resumption: Resumption) -> Result<Self, rustls::Error> {
        let mut strict: Vec<&'static Group> = Vec::new();
        let mut classical: Vec<&'static Group> = Vec::new();
        for policy in side.policies.all() {
            merge(&mut strict, policy.groups());
            merge(&mut classical, policy.classical_groups());
        }
        let profile = side.policies.profile();
        let config = |groups: &[&'static Group]| {
            let config = client_config(
                provider_for(groups, profile),
                Arc::clone(&side.verifier) as _,
                alert_for,
                side.own.certified_key(),
                &ALPN,
            );
            config.map(Arc::new)
        };
        let soft = match classical.is_empty() {
            true => None,
            false => Some(config(&[strict.clone(), classical].concat())?),
        };
        Ok(Self {
            strict: config(&strict)?,
            soft,
            resumption,
            tickets: side.client_tickets(),
            side,
        })
    }

    /// Goes on from what an earlier configuration learned of the destination: the group that worked. Tickets are
    /// not taken over.
    pub(crate) fn succeed(&mut self, earlier: &Self) {
        self.tickets = earlier.tickets.successor();
        self.side.tickets.note_client(&self.tickets);
    }

    /// What both roles share.
    pub(crate) fn side(&self) -> &TlsSide {
        &self.side
    }

    /// How long a connection with this peer may be used.
    pub(crate) fn lifetime(&self, peer: &LanePeer, retires: Retires) -> Lifetime {
        self.side.lifetime(peer, retires)
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
        let base = self.offer();
        let attempt = self.tickets.attempt();
        let config = Arc::new(with_tickets(base, Arc::clone(&attempt)));
        let permitted = permitted(&config);
        let mut observation = Observation::default();
        let connect = TlsConnector::from(config)
            .connect(name, Metered::new(socket))
            .into_fallible();
        match observed(&mut observation, connect).await {
            Ok(stream) => {
                let finished = Finished {
                    stream: stream.into(),
                    observation,
                    began,
                    permitted,
                    hello: None,
                };
                let established = self.side.established(Side::Client, finished).await?;
                if self.resumption == Resumption::On {
                    let summary = &established.summary;
                    attempt.finished(summary.kind, summary.group);
                }
                Ok(established)
            }
            Err((failed, socket)) => {
                linger(socket.into_inner()).await;
                Err(refusal(&failed, observation.refusal.as_ref()))
            }
        }
    }

    /// What is offered now. A policy that allows classical groups until a date stops offering them on that day.
    fn offer(&self) -> &Arc<ClientConfig> {
        let now = self.side.clock.now();
        let allowed = self
            .side
            .policies
            .all()
            .any(|policy| policy.allows_classical(now));
        match &self.soft {
            Some(soft) if allowed => soft,
            _ => &self.strict,
        }
    }
}

/// The groups that a configuration offers.
fn permitted(config: &ClientConfig) -> Vec<&'static Group> {
    config
        .crypto_provider()
        .kx_groups
        .iter()
        .filter_map(|group| Group::by_code_point(group.name()))
        .collect()
}

fn merge(groups: &mut Vec<&'static Group>, more: &[&'static Group]) {
    for group in more {
        if !groups
            .iter()
            .any(|known| known.named_group == group.named_group)
        {
            groups.push(group);
        }
    }
}

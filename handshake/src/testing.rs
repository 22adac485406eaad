//! In-memory pairs for this crate's tests: identities from one throw-away CA, no sockets.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    SignatureAlgorithm,
};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
};

use crate::client_config::client_config;
use crate::flight_meter::FlightMeter;
use crate::kx::Group;
use crate::observation::{Observation, TicketRule};
use crate::provider::with_groups;
use crate::resumption::ServerTickets;
use crate::server_config::server_config;
use crate::summary::{HandshakeSummary, NegotiationError, Side};

pub(crate) struct World {
    roots: Arc<RootCertStore>,
    algorithm: &'static SignatureAlgorithm,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::signing_with(&PKCS_ECDSA_P256_SHA256)
    }

    /// A world whose CA and whose peers all have keys of that algorithm.
    pub(crate) fn signing_with(algorithm: &'static SignatureAlgorithm) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm).unwrap())
                .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        Self {
            roots: Arc::new(roots),
            algorithm,
            issuer,
        }
    }

    fn identity(&self, provider: &CryptoProvider) -> CertifiedKey {
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        let params = CertificateParams::new(vec!["peer.test".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::from_der(vec![leaf.der().clone()], der, provider).unwrap()
    }

    pub(crate) fn client(&self, groups: &[&'static Group]) -> ClientConfig {
        self.client_of(with_groups(groups))
    }

    pub(crate) fn client_of(&self, provider: Arc<CryptoProvider>) -> ClientConfig {
        let roots = Arc::clone(&self.roots);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let identity = self.identity(&provider);
        client_config(
            provider,
            verifier.unwrap(),
            Error::clone,
            &identity,
            &[b"h2"],
        )
        .unwrap()
    }

    pub(crate) fn server(&self, groups: &[&'static Group]) -> ServerConfig {
        self.server_with(groups, None)
    }

    pub(crate) fn server_with(
        &self,
        groups: &[&'static Group],
        tickets: Option<Arc<ServerTickets>>,
    ) -> ServerConfig {
        self.server_from(with_groups(groups), tickets)
    }

    pub(crate) fn server_of(&self, provider: Arc<CryptoProvider>) -> ServerConfig {
        self.server_from(provider, None)
    }

    fn server_from(
        &self,
        provider: Arc<CryptoProvider>,
        tickets: Option<Arc<ServerTickets>>,
    ) -> ServerConfig {
        let roots = Arc::clone(&self.roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let identity = self.identity(&provider);
        server_config(
            provider,
            verifier.unwrap(),
            Error::clone,
            &identity,
            &[b"h2"],
            tickets,
        )
        .unwrap()
    }
}

/// Both ends of a handshake with what was observed on each.
pub(crate) struct Pair {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    client_seen: (Observation, FlightMeter),
    server_seen: (Observation, FlightMeter),
}

impl Pair {
    /// Runs the handshake to its end, or to the first error with the side that met it.
    pub(crate) fn run(client: ClientConfig, server: ServerConfig) -> Result<Self, (Side, Error)> {
        let mut pair = Self::open(client, Arc::new(server), TicketRule::default());
        pair.shake_hands()?;
        Ok(pair)
    }

    /// Two ends that have sent nothing yet; the server treats tickets as `tickets` says.
    pub(crate) fn open(
        client: ClientConfig,
        server: Arc<ServerConfig>,
        tickets: TicketRule,
    ) -> Self {
        let name = ServerName::try_from("peer.test").unwrap();
        let server_seen = Observation {
            tickets,
            ..Observation::default()
        };
        Self {
            client: ClientConnection::new(Arc::new(client), name).unwrap(),
            server: ServerConnection::new(server).unwrap(),
            client_seen: Default::default(),
            server_seen: (server_seen, FlightMeter::default()),
        }
    }

    /// Runs the handshake to its end; what the server sends after it is left for `server_speaks`.
    pub(crate) fn shake_hands(&mut self) -> Result<(), (Side, Error)> {
        loop {
            self.client_speaks()?;
            if !self.client.is_handshaking() && !self.server.is_handshaking() {
                return Ok(());
            }
            self.server_speaks()?;
        }
    }

    /// Brings what the client has to say to the server.
    pub(crate) fn client_speaks(&mut self) -> Result<(), (Side, Error)> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).unwrap();
        }
        self.client_seen.1.sent(wire.len());
        self.server_seen.1.received(wire.len());
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            self.server.read_tls(&mut rest).unwrap();
            let server = &mut self.server;
            let step = self.server_seen.0.during(|| server.process_new_packets());
            step.map_err(|error| (Side::Server, error))?;
        }
        Ok(())
    }

    /// Brings what the server has to say to the client.
    pub(crate) fn server_speaks(&mut self) -> Result<(), (Side, Error)> {
        let mut wire = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut wire).unwrap();
        }
        self.server_seen.1.sent(wire.len());
        self.client_seen.1.received(wire.len());
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).unwrap();
            let client = &mut self.client;
            let step = self.client_seen.0.during(|| client.process_new_packets());
            step.map_err(|error| (Side::Client, error))?;
        }
        Ok(())
    }

    /// What the server's verifier, signer and ticket store saw.
    pub(crate) fn server_saw(&self) -> &Observation {
        &self.server_seen.0
    }

    /// Bytes of each flight, as the server counted them.
    pub(crate) fn server_flights(&self) -> &[u32] {
        self.server_seen.1.flights()
    }

    pub(crate) fn summary(
        &self,
        side: Side,
        permitted: &[&'static Group],
    ) -> Result<HandshakeSummary, NegotiationError> {
        let took = Duration::from_micros(500);
        match side {
            Side::Client => {
                let (observation, meter) = &self.client_seen;
                HandshakeSummary::check(side, &self.client, permitted, observation, meter, took)
            }
            Side::Server => {
                let (observation, meter) = &self.server_seen;
                HandshakeSummary::check(side, &self.server, permitted, observation, meter, took)
            }
        }
    }
}

//! In-memory pairs for this crate's tests: identities from one throw-away CA, no sockets.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
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
use crate::kx_policy::KxPolicy;
use crate::observation::Observation;
use crate::provider::with_groups;
use crate::server_config::server_config;
use crate::summary::{HandshakeSummary, NegotiationError, Side};

pub(crate) struct World {
    roots: Arc<RootCertStore>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        Self {
            roots: Arc::new(roots),
            issuer,
        }
    }

    fn identity(&self, provider: &CryptoProvider) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["peer.test".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::from_der(vec![leaf.der().clone()], der, provider).unwrap()
    }

    pub(crate) fn client(&self, groups: &[&'static Group]) -> ClientConfig {
        let provider = with_groups(groups);
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
        let provider = with_groups(groups);
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
        let name = ServerName::try_from("peer.test").unwrap();
        let mut pair = Self {
            client: ClientConnection::new(Arc::new(client), name).unwrap(),
            server: ServerConnection::new(Arc::new(server)).unwrap(),
            client_seen: Default::default(),
            server_seen: Default::default(),
        };
        while pair.client.is_handshaking() || pair.server.is_handshaking() {
            let mut wire = Vec::new();
            while pair.client.wants_write() {
                pair.client.write_tls(&mut wire).unwrap();
            }
            pair.client_seen.1.sent(wire.len());
            pair.server_seen.1.received(wire.len());
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                pair.server.read_tls(&mut rest).unwrap();
                let server = &mut pair.server;
                let step = pair.server_seen.0.during(|| server.process_new_packets());
                step.map_err(|error| (Side::Server, error))?;
            }
            let mut wire = Vec::new();
            while pair.server.wants_write() {
                pair.server.write_tls(&mut wire).unwrap();
            }
            pair.server_seen.1.sent(wire.len());
            pair.client_seen.1.received(wire.len());
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                pair.client.read_tls(&mut rest).unwrap();
                let client = &mut pair.client;
                let step = pair.client_seen.0.during(|| client.process_new_packets());
                step.map_err(|error| (Side::Client, error))?;
            }
        }
        Ok(pair)
    }

    pub(crate) fn summary(
        &self,
        side: Side,
        policy: &KxPolicy,
    ) -> Result<HandshakeSummary, NegotiationError> {
        let took = Duration::from_micros(500);
        match side {
            Side::Client => {
                let (observation, meter) = &self.client_seen;
                HandshakeSummary::check(side, &self.client, policy, observation, meter, took)
            }
            Side::Server => {
                let (observation, meter) = &self.server_seen;
                HandshakeSummary::check(side, &self.server, policy, observation, meter, took)
            }
        }
    }
}

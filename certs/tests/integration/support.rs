//! Two rustls ends in one process, without sockets.

use std::io::{Read, Write};
use std::sync::Arc;

use pqlane_certs::clock::FixedClock;
use pqlane_certs::testing::{NOW, TestDomain, TestSvid, allow, bundles, provider, verifier_config};
use pqlane_certs::verifier::{PeerError, PeerVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection,
    SignatureScheme,
};
use rustls_pki_types::CertificateDer;

/// One end: what it shows and whom it accepts.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) svid: Option<TestSvid>,
    pub(crate) verifier: Arc<PeerVerifier>,
    pub(crate) clock: Arc<FixedClock>,
}

impl End {
    /// An end that shows `svid`, trusts `domains` and accepts `allowed`, at [`NOW`].
    pub(crate) fn new(svid: TestSvid, domains: &[&TestDomain], allowed: &[&str]) -> Self {
        let clock = Arc::new(FixedClock::new(NOW));
        let config = verifier_config(bundles(domains), allow(allowed), clock.clone());
        Self {
            svid: Some(svid),
            verifier: Arc::new(PeerVerifier::new(config)),
            clock,
        }
    }

    /// The same end with something else to show.
    pub(crate) fn showing(&self, svid: TestSvid) -> Self {
        Self {
            svid: Some(svid),
            ..self.clone()
        }
    }

    fn client(&self) -> Connection {
        let resolver: Arc<dyn ResolvesClientCert> = match self.certified_key() {
            Some(key) => Arc::new(SingleCertAndKey::from(key)),
            None => Arc::new(Nothing),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(resolver);
        config.resumption = Resumption::disabled();
        // Any name: it is not the peer's identity.
        let name = "name.invalid".try_into().unwrap();
        ClientConnection::new(Arc::new(config), name)
            .unwrap()
            .into()
    }

    fn server(&self) -> Connection {
        let key = self.certified_key().expect("a server has a certificate");
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        ServerConnection::new(Arc::new(config)).unwrap().into()
    }

    fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        let svid = self.svid.as_ref()?;
        Some(svid.certified_key(&provider()))
    }
}

/// A client without a certificate.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// How a handshake ended on one side.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<(), Error>,
    pub(crate) peer_chain: Vec<CertificateDer<'static>>,
    pub(crate) group: Option<rustls::NamedGroup>,
}

impl Ended {
    /// The refusal of this side's verifier.
    pub(crate) fn refusal(&self) -> PeerError {
        let error = self.result.as_ref().unwrap_err();
        let found = PeerError::from_rustls(error);
        found.unwrap_or_else(|| panic!("{error:?}")).clone()
    }

    /// The label of that refusal.
    pub(crate) fn reason(&self) -> &'static str {
        self.refusal().reason()
    }
}

/// Runs a handshake until both sides have finished or failed: the client first, then the server.
pub(crate) fn shake_hands(client: &End, server: &End) -> (Ended, Ended) {
    let mut ends = [client.client(), server.server()];
    let mut results = [Ok(()), Ok(())];
    let mut moved = true;
    while moved {
        moved = false;
        for from in [0, 1] {
            let mut bytes = Vec::new();
            while ends[from].wants_write() {
                ends[from].write_tls(&mut bytes).unwrap();
            }
            let to = 1 - from;
            if bytes.is_empty() || results[to].is_err() {
                continue;
            }
            moved = true;
            let mut unread = bytes.as_slice();
            while !unread.is_empty() && results[to].is_ok() {
                ends[to].read_tls(&mut unread).unwrap();
                results[to] = ends[to].process_new_packets().map(drop);
            }
        }
    }
    if results.iter().all(Result::is_ok) {
        exchange_a_byte(&mut ends);
    }
    let [client_end, server_end] = ends;
    let [client_result, server_result] = results;
    (
        ended(&client_end, client_result),
        ended(&server_end, server_result),
    )
}

fn ended(end: &Connection, result: Result<(), Error>) -> Ended {
    Ended {
        result,
        peer_chain: end.peer_certificates().unwrap_or_default().to_vec(),
        group: end
            .negotiated_key_exchange_group()
            .map(|group| group.name()),
    }
}

/// A finished handshake carries data; one that merely stopped does not.
fn exchange_a_byte(ends: &mut [Connection; 2]) {
    let [client, server] = ends;
    client.writer().write_all(b"!").unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut read = [0];
    server.reader().read_exact(&mut read).unwrap();
    assert_eq!(&read, b"!");
}

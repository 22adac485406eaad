//! TLS ends that speak for themselves, good and hostile.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use pqlane_certs::clock::SystemClock;
use pqlane_certs::testing::{TestDomain, TestSvid, allow, bundles, provider, verifier_config};
use pqlane_certs::verifier::PeerVerifier;
use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, ServerConfig, SignatureScheme,
    SupportedCipherSuite,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::http::{Body, Client, Version, raw_call, serve};
use super::within;
use super::world::World;

/// What a client from before hybrid key exchange offers.
pub(crate) const OLD: [&dyn SupportedKxGroup; 2] = [kx_group::X25519, kx_group::SECP256R1];
/// What a client offers that was taught hybrid key exchange and puts it last.
pub(crate) const CLASSICAL_FIRST: [&dyn SupportedKxGroup; 2] =
    [kx_group::X25519, kx_group::X25519MLKEM768];

/// One end of a TLS connection: what it shows, offers and accepts.
#[derive(Clone)]
pub(crate) struct Peer {
    key: Option<Arc<CertifiedKey>>,
    /// One for all its connections: a client offers a ticket only with the resolver that it got it with.
    resolver: Arc<dyn ResolvesClientCert>,
    provider: Arc<CryptoProvider>,
    verifier: Arc<PeerVerifier>,
    alpn: Vec<Vec<u8>>,
    resumption: Option<Arc<ClientSessionMemoryCache>>,
}

impl Peer {
    /// An end that shows this, whatever it is, and accepts all of the world's domain.
    pub(crate) fn new(world: &World, svid: &TestSvid) -> Self {
        let key = svid.certified_key(&provider());
        Self {
            resolver: Arc::new(SingleCertAndKey::from(Arc::clone(&key))),
            key: Some(key),
            provider: Arc::new(provider()),
            verifier: verifier(&world.domain, "spiffe://example.org/**"),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            resumption: None,
        }
    }

    /// Shows no certificate.
    pub(crate) fn without_certificate(mut self) -> Self {
        self.key = None;
        self.resolver = Arc::new(Nothing);
        self
    }

    /// Shows these bytes in place of its leaf.
    pub(crate) fn showing_bytes(mut self, leaf: &[u8]) -> Self {
        let own = self.key.as_ref().unwrap();
        let chain = vec![CertificateDer::from(leaf.to_vec())];
        let key = Arc::new(CertifiedKey::new(chain, Arc::clone(&own.key)));
        self.resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&key)));
        self.key = Some(key);
        self
    }

    /// Offers and accepts these groups only.
    pub(crate) fn groups(mut self, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        self.provider = Arc::new(CryptoProvider {
            kx_groups: groups.to_vec(),
            ..(*self.provider).clone()
        });
        self
    }

    /// Offers these cipher suites, in this order.
    pub(crate) fn suites(mut self, suites: &[SupportedCipherSuite]) -> Self {
        self.provider = Arc::new(CryptoProvider {
            cipher_suites: suites.to_vec(),
            ..(*self.provider).clone()
        });
        self
    }

    /// Offers and accepts this protocol only.
    pub(crate) fn alpn(mut self, protocol: &str) -> Self {
        self.alpn = vec![protocol.as_bytes().to_vec()];
        self
    }

    /// Resumes its sessions where the other side lets it.
    pub(crate) fn resuming(mut self) -> Self {
        self.resumption = Some(Arc::new(ClientSessionMemoryCache::new(8)));
        self
    }

    /// Accepts these IDs of a domain only.
    pub(crate) fn accepting(mut self, domain: &TestDomain, pattern: &str) -> Self {
        self.verifier = verifier(domain, pattern);
        self
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(Arc::clone(&self.resolver));
        config.alpn_protocols = self.alpn.clone();
        config.resumption = match &self.resumption {
            Some(tickets) => Resumption::store(tickets.clone()),
            None => Resumption::disabled(),
        };
        config
    }

    fn server_config(&self) -> ServerConfig {
        let key = SingleCertAndKey::from(Arc::clone(self.key.as_ref().unwrap()));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(self.verifier.clone())
            .with_cert_resolver(Arc::new(key));
        config.alpn_protocols = self.alpn.clone();
        config
    }

    /// The other end of a good connection to it.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let stream = within("connection", TcpStream::connect(address)).await?;
        let connector = TlsConnector::from(Arc::new(self.client_config()));
        let name = ServerName::try_from("name.invalid").unwrap();
        within("handshake", connector.connect(name, stream)).await
    }

    pub(crate) async fn http1(&self, address: SocketAddr) -> Client {
        let own = self.clone().alpn("http/1.1");
        let stream = own.connect(address).await.unwrap();
        Client::http1_over(stream, &address.to_string()).await
    }

    pub(crate) async fn http2(&self, address: SocketAddr) -> Client {
        let own = self.clone().alpn("h2");
        let stream = own.connect(address).await.unwrap();
        Client::http2_over(stream, &address.to_string()).await
    }

    /// Connects, sends a request as soon as it can, and gives the alert with which it is refused.
    pub(crate) async fn refused(&self, address: SocketAddr) -> AlertDescription {
        let error = match self.clone().alpn("http/1.1").connect(address).await {
            Err(error) => error,
            Ok(mut stream) => {
                let request = b"GET /refused HTTP/1.1\r\nHost: localhost\r\n\r\n";
                let _ = stream.write_all(request).await;
                let mut answer = Vec::new();
                match within("refusal", stream.read_to_end(&mut answer)).await {
                    Err(error) => error,
                    Ok(_) => panic!("no alert but {:?}", String::from_utf8_lossy(&answer)),
                }
            }
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        match cause {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => panic!("no alert but {error:?}"),
        }
    }

    /// Connects: the handshake ends well, and then the other side closes properly, whether a request comes or not.
    pub(crate) async fn turned_away(&self, address: SocketAddr) -> HandshakeKind {
        self.told_goodbye(address, b"").await;
        self.told_goodbye(address, b"GET /refused HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
    }

    async fn told_goodbye(&self, address: SocketAddr, request: &[u8]) -> HandshakeKind {
        let own = self.clone().alpn("http/1.1");
        let mut stream = own.connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        let mut answer = Vec::new();
        let end = within("goodbye", stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok() && answer.is_empty(), "{end:?} {answer:?}");
        kind
    }

    /// One call on a connection of its own: how its handshake went and how many tickets came with the answer.
    pub(crate) async fn call(&self, address: SocketAddr) -> OneCall {
        let own = self.clone().alpn("http/1.1");
        let mut stream = own.connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = raw_call(&mut stream, request).await;
        let (_, connection) = stream.get_ref();
        OneCall {
            answer,
            kind: connection.handshake_kind().unwrap(),
            tickets: connection.tls13_tickets_received(),
        }
    }

    /// A lane server: hybrid TLS that does with each connection what the test says.
    pub(crate) async fn listen<H, F>(&self, handler: H) -> LaneServer
    where
        H: Fn(server::TlsStream<TcpStream>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = LaneServer {
            address: listener.local_addr().unwrap(),
            attempts: Arc::default(),
            connections: Arc::default(),
        };
        let (attempts, connections) = (
            Arc::clone(&server.attempts),
            Arc::clone(&server.connections),
        );
        let acceptor = TlsAcceptor::from(Arc::new(self.server_config()));
        let handler = Arc::new(handler);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                attempts.fetch_add(1, Ordering::Relaxed);
                let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connections.fetch_add(1, Ordering::Relaxed);
                        handler(stream).await;
                    }
                });
            }
        });
        server
    }

    /// A lane server that answers HTTP.
    pub(crate) async fn serve<H, F>(&self, version: Version, handler: H) -> LaneServer
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let alpn = match version {
            Version::Http1 => "http/1.1",
            Version::Http2 => "h2",
        };
        let own = self.clone().alpn(alpn);
        own.listen(move |stream| serve(stream, version, handler.clone()))
            .await
    }
}

/// A call that had a connection to itself.
#[derive(Debug)]
pub(crate) struct OneCall {
    answer: String,
    pub(crate) kind: HandshakeKind,
    pub(crate) tickets: u32,
}

impl OneCall {
    /// Whether it was answered by the workload.
    pub(crate) fn is_ok(&self) -> bool {
        self.answer.starts_with("HTTP/1.1 200")
    }
}

fn verifier(domain: &TestDomain, pattern: &str) -> Arc<PeerVerifier> {
    Arc::new(PeerVerifier::new(verifier_config(
        bundles(&[domain]),
        allow(&[pattern]),
        Arc::new(SystemClock),
    )))
}

/// A running lane server.
pub(crate) struct LaneServer {
    pub(crate) address: SocketAddr,
    attempts: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl LaneServer {
    /// TCP connections so far.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Finished handshakes so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
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

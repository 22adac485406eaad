//! Our client of the Workload API against our own server of it.

use std::future::{Future, pending};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pqlane_certs::authority::serve::{ServeError, ServedSvid, Serving, ServingControl};
use pqlane_certs::authority::{Authority, CreateOptions, IssueOptions, KeyKind};
use pqlane_certs::clock::{Clock, FixedClock};
use pqlane_certs::source::{
    Endpoint, Material, MaterialError, Source, SourceError, WorkloadApiError, WorkloadApiSource,
};
use pqlane_certs::spiffe_id::TrustDomain;
use pqlane_certs::testing::{NOW, TestDomain, allow, provider, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3_600);
const LONGEST: Duration = Duration::from_secs(20);

/// A trust domain in a directory of its own, at a time that stands still.
struct Estate {
    dir: TempDir,
    clock: Arc<FixedClock>,
}

impl Estate {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(FixedClock::new(NOW)),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    async fn serving(&self, options: &CreateOptions, svids: Vec<ServedSvid>) -> Serving {
        let domain: TrustDomain = "example.org".parse().unwrap();
        let authority = Authority::create_with(domain, options, &*self.clock).unwrap();
        Serving::bind(authority, svids, &self.socket(), self.clock.clone())
            .await
            .unwrap()
    }

    async fn serving_one(&self) -> Serving {
        let svids = vec![served("/a", None, KeyKind::EcdsaP256)];
        self.serving(&CreateOptions::default(), svids).await
    }

    fn source(&self) -> WorkloadApiSource {
        source(&self.socket(), self.clock.clone())
    }
}

fn source(socket: &Path, clock: Arc<dyn Clock>) -> WorkloadApiSource {
    let endpoint = Endpoint::from_environment_value(&format!("unix://{}", socket.display()));
    WorkloadApiSource::new(endpoint.unwrap(), Arc::new(provider()), clock)
}

fn served(path: &str, hint: Option<&str>, key: KeyKind) -> ServedSvid {
    ServedSvid {
        id: format!("spiffe://example.org{path}").parse().unwrap(),
        hint: hint.map(str::to_owned),
        options: IssueOptions { ttl: HOUR, key },
    }
}

/// Does something while a domain is served, and then ends the serving.
async fn during<T>(serving: Serving, what: impl Future<Output = T>) -> T {
    tokio::select! {
        () = serving.run(pending(), |_event| {}) => panic!("ended by itself"),
        done = timeout(LONGEST, what) => done.expect("in time"),
    }
}

async fn problem(source: &mut WorkloadApiSource) -> WorkloadApiError {
    match source.next().await.unwrap_err() {
        SourceError::WorkloadApi { source, .. } => *source,
        other => panic!("{other:?}"),
    }
}

/// The next material, whatever problems there are on the way.
async fn sooner_or_later(source: &mut WorkloadApiSource) -> Material {
    loop {
        if let Ok(material) = source.next().await {
            return material;
        }
    }
}

fn thumbprint(material: &Material) -> [u8; 32] {
    material.default_svid().leaf().thumbprint()
}

fn domains(material: &Material) -> Vec<&str> {
    let names = material.bundles().trust_domains();
    names.map(TrustDomain::as_str).collect()
}

#[tokio::test]
async fn gives_every_svid_with_its_hint_of_every_kind_of_key() {
    let estate = Estate::new();
    let svids = KeyKind::ALL.map(|kind| served(&format!("/{kind}"), Some(kind.as_str()), kind));
    let options = CreateOptions {
        key: KeyKind::MlDsa65,
        intermediate: Some(KeyKind::EcdsaP384),
        ..CreateOptions::default()
    };
    let serving = estate.serving(&options, svids.to_vec()).await;
    let mut source = estate.source();
    let material = during(serving, async { source.next().await.unwrap() }).await;
    assert_eq!(material.svids().len(), KeyKind::ALL.len());
    assert_eq!(material.default_svid().id(), &svids[0].id);
    for expected in &svids {
        let by_hint = material.by_hint(expected.hint.as_deref().unwrap()).unwrap();
        assert_eq!(by_hint.id(), &expected.id);
        assert_eq!(
            by_hint.certified_key().cert.len(),
            2,
            "leaf and intermediate"
        );
    }
    assert_eq!(domains(&material), ["example.org"]);
}

#[tokio::test]
async fn an_svid_is_renewed_and_pushed_at_half_of_its_lifetime() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let mut source = estate.source();
    during(serving, async {
        let first = source.next().await.unwrap();
        estate.clock.advance(HOUR / 2);
        let second = source.next().await.unwrap();
        assert_ne!(thumbprint(&first), thumbprint(&second));
        let [first, second] = [first, second].map(|one| one.default_svid().leaf().not_after());
        assert_eq!(second.as_secs() - first.as_secs(), HOUR.as_secs() / 2);
    })
    .await;
}

#[tokio::test]
async fn a_renewal_on_request_is_pushed_to_every_client() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let control = serving.control();
    let mut sources = [estate.source(), estate.source()];
    during(serving, async {
        let mut seen = Vec::new();
        for source in &mut sources {
            seen.push(thumbprint(&source.next().await.unwrap()));
        }
        control.rotate().unwrap();
        for source in &mut sources {
            seen.push(thumbprint(&source.next().await.unwrap()));
        }
        assert_eq!(seen[0], seen[1]);
        assert_ne!(seen[1], seen[2]);
        assert_eq!(seen[2], seen[3]);
    })
    .await;
}

/// What a peer with the bundles of `material` says to its SVID.
fn judged(material: &Material) -> &'static str {
    let allowed = allow(&["spiffe://example.org/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let config = verifier_config(Arc::clone(material.bundles()), allowed, clock);
    let chain = &material.default_svid().certified_key().cert;
    match PeerVerifier::new(config).identify(chain, Role::Client) {
        Ok(_) => "accepted",
        Err(error) => error.reason(),
    }
}

#[tokio::test]
async fn a_revoked_serial_number_is_on_a_list_that_is_pushed() {
    for intermediate in [None, Some(KeyKind::MlDsa44)] {
        let estate = Estate::new();
        let options = CreateOptions {
            intermediate,
            ..CreateOptions::default()
        };
        let svids = vec![served("/a", None, KeyKind::EcdsaP256)];
        let serving = estate.serving(&options, svids).await;
        let control = serving.control();
        let mut source = estate.source();
        during(serving, async {
            let before = source.next().await.unwrap();
            assert_eq!(judged(&before), "accepted");
            let serials = control.serials().into_iter().map(|(_, serial)| serial);
            control.revoke(serials).unwrap();
            let after = source.next().await.unwrap();
            assert_eq!(judged(&after), "revoked");
            assert_eq!(after.warnings().len(), 1, "{:?}", after.warnings());
            // The list stays; the new SVID is not on it.
            control.rotate().unwrap();
            assert_eq!(judged(&source.next().await.unwrap()), "accepted");
        })
        .await;
    }
}

fn federate(control: &ServingControl, domain: &TestDomain) -> Result<(), ServeError> {
    control.federate(
        domain.trust_domain().clone(),
        domain.bundle_pem().as_bytes(),
    )
}

#[tokio::test]
async fn a_federated_bundle_comes_and_goes() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let control = serving.control();
    let mut source = estate.source();
    let foreign = TestDomain::new("example.com");
    during(serving, async {
        assert_eq!(domains(&source.next().await.unwrap()), ["example.org"]);
        federate(&control, &foreign).unwrap();
        let with = source.next().await.unwrap();
        assert_eq!(domains(&with), ["example.com", "example.org"]);
        let roots = with.bundles().roots(foreign.trust_domain()).unwrap();
        assert_eq!(roots, foreign.bundle().roots());
        control.withdraw(foreign.trust_domain());
        assert_eq!(domains(&source.next().await.unwrap()), ["example.org"]);

        let ours = TestDomain::new("example.org");
        let error = federate(&control, &ours).unwrap_err();
        assert!(
            matches!(error, ServeError::OwnTrustDomain { .. }),
            "{error:?}"
        );
        let error = control
            .federate(foreign.trust_domain().clone(), b"")
            .unwrap_err();
        assert!(matches!(error, ServeError::Bundle { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn comes_back_when_the_server_does() {
    let estate = Estate::new();
    let mut source = estate.source();
    let first = during(estate.serving_one().await, async {
        source.next().await.unwrap()
    })
    .await;
    assert!(!estate.socket().exists(), "removed at the end");
    let ended = problem(&mut source).await;
    assert!(matches!(ended, WorkloadApiError::StreamEnded), "{ended:?}");
    let nobody = problem(&mut source).await;
    assert!(
        matches!(nobody, WorkloadApiError::Unreachable(_)),
        "{nobody:?}"
    );

    let again = during(estate.serving_one().await, sooner_or_later(&mut source)).await;
    assert_ne!(thumbprint(&first), thumbprint(&again));
}

#[tokio::test]
async fn keeps_out_material_that_a_peer_would_refuse_and_waits_for_better() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let control = serving.control();
    let late = Arc::new(FixedClock::new(NOW));
    late.advance(HOUR * 2);
    let mut source = source(&estate.socket(), late);
    during(serving, async {
        let refused = problem(&mut source).await;
        assert!(
            matches!(
                refused,
                WorkloadApiError::Material(MaterialError::Refused { .. })
            ),
            "{refused:?}"
        );
        estate.clock.advance(HOUR * 2);
        control.rotate().unwrap();
        // Over the same connection: there is no other problem in between.
        let material = source.next().await.unwrap();
        assert_eq!(material.default_svid().id().path(), "/a");
    })
    .await;
}

#[tokio::test]
async fn a_process_without_an_identity_is_told_so() {
    let estate = Estate::new();
    let serving = estate.serving(&CreateOptions::default(), vec![]).await;
    let mut source = estate.source();
    let denied = during(serving, problem(&mut source)).await;
    assert!(
        matches!(denied, WorkloadApiError::PermissionDenied { .. }),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_message_over_4_mib_is_refused_unread() {
    let estate = Estate::new();
    // Each takes some 22 kB: a leaf, an intermediate and a bundle.
    let svids = (0..256).map(|n| served(&format!("/{n}"), None, KeyKind::MlDsa87));
    let options = CreateOptions {
        key: KeyKind::MlDsa87,
        intermediate: Some(KeyKind::MlDsa87),
        ..CreateOptions::default()
    };
    let serving = estate.serving(&options, svids.collect()).await;
    let mut source = estate.source();
    let refused = during(serving, problem(&mut source)).await;
    assert!(matches!(refused, WorkloadApiError::TooLong), "{refused:?}");
}

#[tokio::test]
async fn an_endpoint_can_be_an_ip_address_and_a_port() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let mut source = WorkloadApiSource::new(endpoint, Arc::new(provider()), estate.clock.clone());
    let carry = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = UnixStream::connect(estate.socket()).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    during(serving, async {
        tokio::select! {
            ended = carry => panic!("{ended:?}"),
            material = source.next() => assert_eq!(domains(&material.unwrap()), ["example.org"]),
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_and_not_awaited_is_not_lost() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let control = serving.control();
    let mut source = estate.source();
    let foreign = TestDomain::new("example.com");
    during(serving, async {
        assert!(source.next().now_or_never().is_none());
        assert_eq!(domains(&source.next().await.unwrap()), ["example.org"]);
        for _ in 0..100 {
            assert!(source.next().now_or_never().is_none());
        }
        federate(&control, &foreign).unwrap();
        let mut given = None;
        while given.is_none() {
            tokio::task::yield_now().await;
            given = source.next().now_or_never();
        }
        let material = given.unwrap().unwrap();
        assert_eq!(domains(&material), ["example.com", "example.org"]);
    })
    .await;
}

/// The gRPC status of a call with this header; none if it is answered with a stream.
async fn status(socket: &Path, path: &str, header: Option<(&str, &str)>) -> Option<String> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut calls, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let mut request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    // A message without fields: not compressed, of length 0.
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let call = calls.send_request(request.body(body).unwrap());
    let response = tokio::select! {
        response = call => response.unwrap(),
        ended = connection => panic!("{ended:?}"),
    };
    let status = response.headers().get("grpc-status")?;
    Some(status.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_call_without_the_security_header_is_refused() {
    let estate = Estate::new();
    let serving = estate.serving_one().await;
    let socket = estate.socket();
    let proper = Some(("workload.spiffe.io", "true"));
    during(serving, async {
        for path in [
            "/SpiffeWorkloadAPI/FetchX509SVID",
            "/SpiffeWorkloadAPI/FetchX509Bundles",
        ] {
            assert_eq!(status(&socket, path, proper).await, None);
            for wrong in [
                None,
                Some(("workload.spiffe.io", "false")),
                Some(("x", "true")),
            ] {
                let refused = status(&socket, path, wrong).await;
                assert_eq!(refused.as_deref(), Some("3"), "INVALID_ARGUMENT");
            }
        }
        for path in ["FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"] {
            let path = format!("/SpiffeWorkloadAPI/{path}");
            let refused = status(&socket, &path, proper).await;
            assert_eq!(refused.as_deref(), Some("12"), "UNIMPLEMENTED");
        }
    })
    .await;
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_replaces_a_stale_one_only() {
    let estate = Estate::new();
    // Dropping a listener of the standard library leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(estate.socket()).unwrap());
    let serving = estate.serving_one().await;
    let mode = std::fs::metadata(estate.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let domain: TrustDomain = "example.org".parse().unwrap();
    let authority = Authority::create(domain, HOUR, &*estate.clock).unwrap();
    let second = Serving::bind(authority, vec![], &estate.socket(), estate.clock.clone()).await;
    let error = second.unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }), "{error:?}");
    drop(serving);
    assert!(!estate.socket().exists());
}

#[tokio::test]
async fn refuses_to_serve_one_hint_twice() {
    let estate = Estate::new();
    let domain: TrustDomain = "example.org".parse().unwrap();
    let authority = Authority::create(domain, HOUR, &*estate.clock).unwrap();
    let svids = ["/a", "/b"].map(|path| served(path, Some("x"), KeyKind::EcdsaP256));
    let socket = estate.socket();
    let bound = Serving::bind(authority, svids.to_vec(), &socket, estate.clock.clone());
    let error = bound.await.unwrap_err();
    assert!(matches!(error, ServeError::HintTwice { .. }), "{error:?}");
}

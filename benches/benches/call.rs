//! One MCP `tools/call` through both halves of the lane, and the same call without it.
//!
//! `call/lane`: HTTP/1.1 to an outbound listener, HTTP/2 over hybrid mutual TLS to an inbound one, HTTP/1.1 to
//! the workload; `call/direct`: HTTP/1.1 to the workload. Calls follow each other on one connection that is
//! kept. Everything is in this process: lane halves and workload share a runtime of two workers, the client is
//! a third thread. So the difference is what the lane adds to a call's latency on a machine that has nothing
//! else to do; what it costs in CPU is measured by `cpu_per_request`, with processes of their own.
//!
//!     cargo bench -p pqlane-benches --bench call

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot start its own lane has nothing to measure"
)]

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pqlane::app::App;
use pqlane::config::Config;
use pqlane_certs::testing::TestDomain;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};

/// MCP revision 2026-07-28: one tool, one argument.
const REQUEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"place":"Reykjavik, Iceland"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"planner","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
/// Its answer, without the text.
const ANSWER: (&str, &str) = (
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":""#,
    r#""}],"isError":false}}"#,
);
/// Bytes of text in the answer.
const ANSWER_TEXT_LEN: usize = 1024;

fn answer() -> Bytes {
    let (before, after) = ANSWER;
    Bytes::from([before, &"x".repeat(ANSWER_TEXT_LEN), after].concat())
}

/// Starts the MCP server: every request gets the answer.
async fn start_workload() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("nodelay");
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(serve));
            Handle::current().spawn(connection);
        }
    });
    address
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    let mut response = Response::new(Full::default());
    if body.is_ok_and(|body| body == REQUEST) {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        *response.body_mut() = Full::new(answer());
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// Starts one half of the lane from a configuration file. Gives its first listener's address.
async fn start_half(directory: &Path, name: &str, listener: &str) -> SocketAddr {
    let path = directory.join(format!("{name}.toml"));
    let text = format!(
        r#"
[identity]
svid = "{name}.svid.pem"
key = "{name}.key.pem"
[trust]
"example.org" = "bundle.pem"
[audit]
to = "{name}.audit.jsonl"
{listener}
"#
    );
    fs::write(&path, text).expect("configuration file");
    let config = Config::read(&path).expect("configuration");
    let bound = App::build(config)
        .expect("build")
        .bind()
        .await
        .expect("bind");
    let (_, address) = bound.addresses().first().expect("one listener");
    let address = address.to_string().parse().expect("a TCP address");
    // Until the runtime is dropped.
    Handle::current().spawn(bound.run(std::future::pending()));
    address
}

/// Starts both halves before a workload. Gives the address that agents call.
async fn start_lane(directory: &Path, workload: SocketAddr) -> SocketAddr {
    let domain = TestDomain::new("example.org");
    fs::write(directory.join("bundle.pem"), domain.bundle_pem()).expect("bundle");
    for name in ["ingress", "egress"] {
        let (chain, key) = domain.svid_pem(&format!("/{name}"));
        fs::write(directory.join(format!("{name}.svid.pem")), chain).expect("SVID");
        fs::write(directory.join(format!("{name}.key.pem")), key.as_bytes()).expect("key");
    }
    let inbound = format!(
        r#"
[[inbound]]
listen = "127.0.0.1:0"
workload = "http://{workload}"
allow = ["spiffe://example.org/egress"]
"#
    );
    let ingress = start_half(directory, "ingress", &inbound).await;
    let outbound = format!(
        r#"
[[outbound]]
listen = "127.0.0.1:0"
connect = "{ingress}"
peers = ["spiffe://example.org/ingress"]
"#
    );
    start_half(directory, "egress", &outbound).await
}

/// An agent with one connection.
struct Agent {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    answer: Bytes,
}

impl Agent {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/1.1");
        Handle::current().spawn(connection);
        Self {
            sender,
            host: HeaderValue::from_str(&address.to_string()).expect("host"),
            answer: answer(),
        }
    }

    /// Makes one call and checks its answer.
    async fn call(&mut self) {
        let request = Request::post("/mcp")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "weather")
            .body(Full::new(Bytes::from_static(REQUEST.as_bytes())))
            .expect("request");
        self.sender.ready().await.expect("the connection is kept");
        let response = self.sender.send_request(request).await.expect("response");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("body").to_bytes();
        assert_eq!((head.status, body), (StatusCode::OK, self.answer.clone()));
    }

    /// How long so many calls take, one after the other.
    async fn calls(&mut self, count: u64) -> Duration {
        let began = Instant::now();
        for _ in 0..count {
            self.call().await;
        }
        began.elapsed()
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("runtime")
}

fn call(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let runtime = runtime();
    let (mut direct, mut lane) = runtime.block_on(async {
        let workload = start_workload().await;
        let lane = start_lane(directory.path(), workload).await;
        (Agent::connect(workload).await, Agent::connect(lane).await)
    });
    let mut benches = criterion.benchmark_group("call");
    for (name, agent) in [("direct", &mut direct), ("lane", &mut lane)] {
        benches.bench_function(name, |bencher| {
            bencher.iter_custom(|count| runtime.block_on(agent.calls(count)));
        });
    }
    benches.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);

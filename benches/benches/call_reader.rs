//! Reading a call's body: JSON-RPC, parameters and all that is checked on the way.
//!
//! `call-reader/<body>` is `read_rpc` on a `tools/call` with arguments of that kind; `call-reader/headers` is the
//! comparison of MCP's headers with the first of them once it was read. Throughput is bytes of the body.
//!
//!     cargo bench -p pqlane-benches --bench call_reader

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot read its own bodies has nothing to measure"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use pqlane::hostile::{JsonLimits, check_mcp_headers, read_rpc};

/// A call as an SDK writes it, around its arguments.
fn body(arguments: &str) -> Vec<u8> {
    let before =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":"#;
    let after = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"planner","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"sampling":{}},"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}}"#;
    [before, arguments, after].concat().into_bytes()
}

/// One argument of text, `len` bytes long.
fn text(unit: &str, len: usize) -> Vec<u8> {
    let text = unit.repeat(len / unit.len());
    body(&format!(r#"{{"text":"{text}"}}"#))
}

/// One argument that is `len` bytes of small objects.
fn tokens(len: usize) -> Vec<u8> {
    let unit = r#"{"a":1,"b":[true,null]},"#;
    let objects = unit.repeat(len / unit.len());
    body(&format!(r#"{{"rows":[{objects}0]}}"#))
}

fn call_reader(criterion: &mut Criterion) {
    let limits = JsonLimits::default();
    let small = body(r#"{"place":"Reykjavik","country":"Iceland","days":14,"unit":"kelvins"}"#);
    let bodies = [
        ("444B", small.clone()),
        ("4.6KB-text", text("The quick brown fox. ", 4_200)),
        ("66KB-text", text("The quick brown fox. ", 66_000)),
        ("66KB-escapes", text(r"a\nb\u00e9", 66_000)),
        ("66KB-tokens", tokens(66_000)),
        ("1MB-tokens", tokens(1_000_000)),
    ];
    let mut benches = criterion.benchmark_group("call-reader");
    for (name, body) in &bodies {
        benches.throughput(Throughput::Bytes(body.len() as u64));
        benches.bench_with_input(BenchmarkId::from_parameter(name), body, |bencher, body| {
            bencher.iter(|| {
                read_rpc(black_box(body), &limits)
                    .is_ok_and(|message| message.messages().len() == 1)
            });
        });
    }

    let fields = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "weather"),
        ("mcp-param-place", "Reykjavik"),
    ];
    let headers: HeaderMap = fields
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .into_iter()
        .collect();
    let message = read_rpc(&small, &limits).expect("a call");
    check_mcp_headers(&headers, &message).expect("headers that repeat it");
    benches.throughput(Throughput::Elements(1));
    benches.bench_function("headers", |bencher| {
        bencher.iter(|| check_mcp_headers(black_box(&headers), &message).is_ok());
    });
    benches.finish();
}

criterion_group!(benches, call_reader);
criterion_main!(benches);

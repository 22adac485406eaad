//! Envoy as a contender: the same hops and the same TLS, a JSON access log as its record.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::certificates::{EGRESS_ID, INGRESS_ID, Leaf};
use crate::contender::{Contender, Setting};
use crate::process::{Process, free_address};

/// Starts both halves.
///
/// # Errors
/// When a process does not come up.
pub(crate) async fn start(
    binary: &Path,
    setting: &Setting<'_>,
    answer_len: usize,
) -> anyhow::Result<Contender> {
    let (lane, entry) = (free_address()?, free_address()?);
    let ca = &setting.certificates.ca;
    let half = |name: &str, config: String| {
        let path = setting.dir.join(format!("{name}.yaml"));
        fs::write(&path, config)?;
        let mut command = Command::new(binary);
        command.arg("--config-path").arg(path);
        command.args(["--concurrency", &setting.workers.to_string()]);
        command.args(["--disable-hot-restart", "--log-level", "warning"]);
        Process::start(name, setting.dir, command)
    };
    let log = |name: &str| setting.dir.join(format!("{name}.access.jsonl"));

    let server_tls = tls(
        Side::Downstream,
        &setting.certificates.ingress,
        ca,
        EGRESS_ID,
    );
    let ingress = config(
        &listener(lane, "HTTP2", &log("envoy-ingress"), &server_tls),
        &cluster(setting.workload, "http_protocol_options: {}", ""),
    );
    let ingress = half("envoy-ingress", ingress)?;

    let client_tls = tls(Side::Upstream, &setting.certificates.egress, ca, INGRESS_ID);
    let egress = config(
        &listener(entry, "HTTP1", &log("envoy-egress"), ""),
        &cluster(lane, "http2_protocol_options: {}", &client_tls),
    );
    let egress = half("envoy-egress", egress)?;

    Contender::ready("envoy", (ingress, lane), (egress, entry), answer_len).await
}

fn config(listener: &str, cluster: &str) -> String {
    format!("static_resources:\n  listeners:\n{listener}  clusters:\n{cluster}")
}

/// One listener, one route, no filter but the router; what costs and is not needed is off.
fn listener(address: SocketAddr, codec: &str, log: &Path, tls: &str) -> String {
    format!(
        r#"  - name: entry
    address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: lane
          codec_type: {codec}
          generate_request_id: false
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {log}
              log_format:
                json_format:
                  start: "%START_TIME%"
                  method: "%REQ(:METHOD)%"
                  path: "%REQ(:PATH)%"
                  mcp_method: "%REQ(MCP-METHOD)%"
                  mcp_name: "%REQ(MCP-NAME)%"
                  status: "%RESPONSE_CODE%"
                  flags: "%RESPONSE_FLAGS%"
                  received: "%BYTES_RECEIVED%"
                  sent: "%BYTES_SENT%"
                  duration: "%DURATION%"
                  peer: "%DOWNSTREAM_PEER_URI_SAN%"
                  upstream: "%UPSTREAM_HOST%"
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: next, timeout: 0s }}
{tls}"#,
        ip = address.ip(),
        port = address.port(),
        log = log.display(),
    )
}

fn cluster(address: SocketAddr, protocol: &str, tls: &str) -> String {
    format!(
        r#"  - name: next
    type: STATIC
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ {protocol} }}
    load_assignment:
      cluster_name: next
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}
{tls}"#,
        ip = address.ip(),
        port = address.port(),
    )
}

/// Which end of a connection a TLS context is for.
#[derive(Debug, Clone, Copy)]
enum Side {
    Downstream,
    Upstream,
}

/// TLS 1.3 with X25519MLKEM768 alone; the peer by CA and SPIFFE ID.
fn tls(side: Side, leaf: &Leaf, ca: &Path, peer: &str) -> String {
    // A listener's transport socket belongs to its filter chain, two columns further in.
    let (indent, context, own) = match side {
        Side::Downstream => (
            "      ",
            "DownstreamTlsContext",
            "require_client_certificate: true",
        ),
        Side::Upstream => ("    ", "UpstreamTlsContext", "sni: lane.test"),
    };
    format!(
        r#"{indent}transport_socket:
{indent}  name: envoy.transport_sockets.tls
{indent}  typed_config:
{indent}    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{context}
{indent}    {own}
{indent}    common_tls_context:
{indent}      alpn_protocols: [h2]
{indent}      tls_params:
{indent}        tls_minimum_protocol_version: TLSv1_3
{indent}        tls_maximum_protocol_version: TLSv1_3
{indent}        ecdh_curves: [X25519MLKEM768]
{indent}      tls_certificates:
{indent}      - certificate_chain: {{ filename: {certificate} }}
{indent}        private_key: {{ filename: {key} }}
{indent}      validation_context:
{indent}        trusted_ca: {{ filename: {ca} }}
{indent}        match_typed_subject_alt_names:
{indent}        - san_type: URI
{indent}          matcher: {{ exact: "{peer}" }}
"#,
        certificate = leaf.certificate.display(),
        key = leaf.key.display(),
        ca = ca.display(),
    )
}

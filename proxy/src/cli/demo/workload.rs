//! What both workloads have in common: plain HTTP on loopback, and a sidecar that says who calls.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::task;

/// A loopback address whose port the system chooses.
pub(super) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves a workload for as long as the runtime lives; gives its address.
pub(super) async fn serve(routes: Router) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(ANY_PORT)
        .await
        .context("cannot listen for a workload")?;
    let address = listener.local_addr()?;
    // Without it, events wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|socket| {
        // It is slower then, and works.
        let _ = socket.set_nodelay(true);
    });
    task::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// The caller's SPIFFE ID in `X-Forwarded-Client-Cert`, as a workload reads it: `By=…;Hash=…;URI=…`.
pub(super) fn caller(xfcc: &str) -> Option<&str> {
    xfcc.split(';').find_map(|part| part.strip_prefix("URI="))
}

/// SHA-256 of the caller's certificate there, in hexadecimal.
pub(super) fn caller_certificate(xfcc: &str) -> Option<&str> {
    xfcc.split(';').find_map(|part| part.strip_prefix("Hash="))
}

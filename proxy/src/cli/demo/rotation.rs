//! New SVIDs for everybody while calls go on: none of them fails, and the server meets a new certificate.

use std::net::SocketAddr;

use anyhow::ensure;
use rmcp::model::ProtocolVersion;
use serde_json::json;

use super::estate::Estate;
use super::expectation::expect;
use super::mcp_calls::{self, Client};
use super::page;
use super::party::Party;

/// Hexadecimal digits of a certificate's hash that are shown.
const SHOWN: usize = 16;

/// Has every SVID renewed, and calls until a call arrives on the new one.
pub(super) async fn live_through(estate: &Estate, egress: SocketAddr) -> anyhow::Result<()> {
    let client = Box::pin(mcp_calls::connect(egress, &ProtocolVersion::V_2026_07_28)).await?;
    let before = certificate(&client).await?;
    page::fact(
        "before",
        format_args!("the server sees certificate {}", short(&before)),
    );

    let parties = [Party::Assistant, Party::Weather];
    let mut old = Vec::new();
    for party in parties {
        old.push(estate.serial(party)?);
    }
    estate.rotate()?;
    for (party, old) in parties.into_iter().zip(old) {
        let new = estate.serial(party)?;
        ensure!(new != old, "{}: expected a new serial number", party.name());
        page::fact("renewed", format_args!("{}, serial {new}", party.id()));
    }

    let mut calls = 0_usize;
    let after = loop {
        // One that fails ends the demo.
        let seen = certificate(&client).await?;
        calls += 1;
        if seen != before {
            break seen;
        }
    };
    page::fact(
        "pushed",
        format_args!("over the Workload API; calls meanwhile: {calls}, none failed"),
    );
    page::fact(
        "after",
        format_args!("the server sees certificate {}", short(&after)),
    );

    let caller = mcp_calls::call(&client, "whoami", json!({})).await?;
    expect(
        "caller that the server sees",
        caller.as_str(),
        Party::Assistant.id(),
    )?;
    page::fact("whoami", &caller);
    mcp_calls::close(client).await
}

/// The certificate that the server sees its caller call with.
async fn certificate(client: &Client) -> anyhow::Result<String> {
    mcp_calls::call(client, "certificate", json!({})).await
}

fn short(hash: &str) -> &str {
    hash.get(..SHOWN).unwrap_or(hash)
}

//! A client with a valid SVID that offers classical key exchange only.
//!
//! Its SVID is the one with which the egress calls, from the same Workload API, so that its key exchange is all that
//! differs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::revocation::DenyList;
use pqlane_certs::source::{Source, WorkloadApiSource};
use pqlane_certs::spiffe_id::AllowList;
use pqlane_certs::verifier::{PeerVerifier, PeerVerifierConfig};
use pqlane_handshake::client_config::client_config;
use pqlane_handshake::kx::{Group, SECP256R1, X25519};
use pqlane_handshake::provider::with_groups;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::estate::Estate;
use super::expectation::expect;
use super::page;
use super::party::Party;
use super::records::{self, Record, Refused};

/// What such a client offers.
static GROUPS: [&Group; 2] = [&X25519, &SECP256R1];

/// Connects to the sidecar of the MCP server, and must be refused.
pub(super) async fn be_refused(estate: &Estate, sidecar: SocketAddr) -> anyhow::Result<()> {
    let offered = GROUPS.map(|group| group.name).join(", ");
    // The source checks the SVID against the bundle, as the sidecar would.
    let provider = with_groups(&GROUPS);
    let endpoint = estate.endpoint().clone();
    let mut source = WorkloadApiSource::new(endpoint, Arc::clone(&provider), Arc::new(SystemClock));
    let material = source.next().await.context("no SVID for the client")?;
    let svid = material
        .by_id(&Party::Assistant.id().parse()?)
        .context("the Workload API does not have the client's SVID")?;
    page::fact("has", format_args!("the SVID of {}, valid", svid.id()));
    page::fact("offers", &offered);

    let verifier = PeerVerifier::new(PeerVerifierConfig {
        bundles: Arc::clone(material.bundles()),
        allowed: AllowList::from(vec![Party::Weather.id().parse()?]),
        denied: Arc::new(DenyList::default()),
        algorithms: provider.signature_verification_algorithms,
        clock: Arc::new(SystemClock),
        cache: Arc::default(),
    });
    let config = client_config(
        provider,
        Arc::new(verifier),
        rustls::Error::clone,
        svid.certified_key(),
        &[b"h2"],
    )?;
    let socket = TcpStream::connect(sidecar)
        .await
        .context("the sidecar does not answer")?;
    let from = socket.local_addr()?.to_string();
    let name = ServerName::from(sidecar.ip());
    let connector = TlsConnector::from(Arc::new(config));
    let Err(refused) = connector.connect(name, socket).await else {
        bail!("classical client: expected a refusal, but the sidecar let it in");
    };
    let alert = alert(&refused)?;
    let expected = alert_name(AlertDescription::HandshakeFailure);
    expect("alert to the classical client", alert_name(alert), expected)?;
    page::fact("is told", format_args!("fatal alert {}", alert_name(alert)));

    let refused = refusal(estate, &from).await?;
    expect(
        "reason on record",
        refused.reason.as_str(),
        "no-hybrid-group",
    )?;
    let on_record = refused.offered_groups.join(", ");
    expect("groups on record", &on_record, &offered)?;
    page::fact(
        "on record",
        format_args!("reason {}, offered {on_record}", refused.reason),
    );
    page::fact("recorded by", &refused.local);
    Ok(())
}

fn alert(refused: &std::io::Error) -> anyhow::Result<AlertDescription> {
    let error = refused
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::AlertReceived(alert)) => Ok(*alert),
        _ => bail!("classical client: expected a TLS alert, found: {refused}"),
    }
}

/// The name and number of an alert in RFC 9846 §6, such as `handshake_failure(40)`.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    format!("{name}({})", u8::from(alert))
}

/// What the sidecar wrote about this client.
async fn refusal(estate: &Estate, from: &str) -> anyhow::Result<Refused> {
    records::find(&estate.audit_path(Party::Weather), |record| match record {
        Record::ConnectionRefused(refused) if refused.from.as_deref() == Some(from) => {
            Some(refused)
        }
        _ => None,
    })
    .await
}

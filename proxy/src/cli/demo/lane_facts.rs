//! What was negotiated, as the two ends of a lane recorded it.

use anyhow::Context;

use super::estate::Estate;
use super::expectation::expect;
use super::page::{self, milliseconds};
use super::party::Party;
use super::records::{self, Opened, Record};

/// The group that the demo must end up with.
const GROUP: &str = "X25519MLKEM768";

/// One connection, seen from both ends.
struct Lane {
    egress: Opened,
    sidecar: Opened,
}

/// Tells everything about the lane to a party.
pub(super) async fn tell(estate: &Estate, party: Party) -> anyhow::Result<()> {
    let Lane { egress, sidecar } = lane(estate, party).await?;
    page::fact(
        "group",
        format_args!(
            "{}, {} handshake, {}",
            egress.group, egress.handshake, egress.suite
        ),
    );
    page::fact(
        "client",
        format_args!("{}, {}", sidecar.peer, scheme(&sidecar.peer_signature)),
    );
    page::fact(
        "server",
        format_args!("{}, {}", egress.peer, scheme(&egress.peer_signature)),
    );
    page::fact(
        "handshake",
        format_args!(
            "{} at the egress, {} at the sidecar",
            milliseconds(egress.duration_us),
            milliseconds(sidecar.duration_us)
        ),
    );
    let flights: Vec<String> = egress
        .flight_bytes
        .iter()
        .zip(["out", "back"].iter().cycle())
        .map(|(bytes, way)| format!("{bytes} B {way}"))
        .collect();
    page::fact("flights", flights.join(", "));
    Ok(())
}

/// Tells the lane to a party in two lines.
pub(super) async fn tell_shortly(estate: &Estate, party: Party) -> anyhow::Result<()> {
    let Lane { egress, sidecar: _ } = lane(estate, party).await?;
    page::fact(
        "lane",
        format_args!("{} in {}", egress.group, milliseconds(egress.duration_us)),
    );
    page::fact("server", &egress.peer);
    Ok(())
}

/// Finds the lane to a party in both records, and checks that they agree.
async fn lane(estate: &Estate, party: Party) -> anyhow::Result<Lane> {
    let caller = Party::Assistant;
    let egress = opened(estate, caller, party)
        .await
        .context("the egress's records")?;
    let sidecar = opened(estate, party, caller)
        .await
        .context("the sidecar's records")?;
    for (end, opened, local) in [("egress", &egress, caller), ("sidecar", &sidecar, party)] {
        expect(&format!("group at the {end}"), opened.group.as_str(), GROUP)?;
        expect(
            &format!("own SPIFFE ID of the {end}"),
            opened.local.as_str(),
            local.id(),
        )?;
    }
    expect("cipher suite at both ends", &egress.suite, &sidecar.suite)?;
    for (signer, seen, made) in [
        ("server", &egress.peer_signature, &sidecar.local_signature),
        ("client", &sidecar.peer_signature, &egress.local_signature),
    ] {
        let what = format!("signature of the {signer}, as its peer saw it");
        expect(&what, scheme(seen), scheme(made))?;
    }
    Ok(Lane { egress, sidecar })
}

fn scheme(signature: &Option<String>) -> &str {
    signature.as_deref().unwrap_or("no signature")
}

/// The first connection with `peer` in the records of `of`.
async fn opened(estate: &Estate, of: Party, peer: Party) -> anyhow::Result<Opened> {
    records::find(&estate.audit_path(of), |record| match record {
        Record::ConnectionOpen(opened) if opened.peer == peer.id() => Some(opened),
        _ => None,
    })
    .await
}

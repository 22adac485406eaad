//! Two trust domains: welcome with their bundle, gone with it, and neither ever taken for the other.

use std::net::SocketAddr;
use std::time::Instant;

use pqlane::deny::DenyReason;
use pqlane_certs::testing::{TestDomain, TestSvid};

use crate::support::http::{Client, Version, Workload, full, serve};
use crate::support::living::{AT_ONCE, Stream, workload};
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

const PARTNER: &str = "\"partner.example\" = \"partner.example.pem\"\n";

fn partners(path: &str) -> String {
    format!("spiffe://partner.example{path}")
}

/// Both domains know each other, and each has a world of files.
struct Federation {
    own: World,
    partner: World,
}

impl Federation {
    fn new() -> Self {
        Self {
            own: World::new(),
            partner: World::of(TestDomain::new("partner.example")),
        }
    }

    /// A sidecar of ours for the agents of both domains.
    async fn ingress(&self, workload: SocketAddr) -> Sidecar {
        let lines = format!(
            "listen = \"127.0.0.1:0\"\nworkload = \"http://{workload}\"\n\
             allow = [\"spiffe://example.org/agent/*\", \"{}\"]",
            partners("/agent/*")
        );
        let setup = self.own.sidecar(MCP).admin().trust(&self.partner.domain);
        setup.inbound(&lines).start().await
    }

    /// An egress of ours to the MCP server of either domain.
    fn egress(&self, peer: SocketAddr) -> Setup<'_> {
        let lines = format!(
            "listen = \"127.0.0.1:0\"\nconnect = \"{peer}\"\npeers = [\"{}\", \"{}\"]",
            id(MCP),
            partners(MCP)
        );
        let setup = self.own.sidecar(AGENT).admin().trust(&self.partner.domain);
        setup.outbound(&lines)
    }

    fn peer(&self, svid: &TestSvid) -> Peer {
        Peer::new(&self.own, svid)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_calls_is_cut_within_a_second_of_its_withdrawal() {
    let both = Federation::new();
    let (workload, mut opened) = workload().await;
    let ingress = both.ingress(workload.address).await;
    let at = ingress.address();
    let partner = both.peer(&both.partner.svid(AGENT));
    let (mut two, mut one) = (partner.http2(at).await, partner.http1(at).await);
    let mut ours = both.own.agent().http2(at).await;
    let streams = [
        Stream::open(&mut two, "/sse/two", &mut opened).await,
        Stream::open(&mut one, "/sse/one", &mut opened).await,
    ];
    let mut kept = Stream::open(&mut ours, "/sse/ours", &mut opened).await;

    let withdrawn = Instant::now();
    ingress.edit(PARTNER, "");
    for stream in streams {
        stream.ends().await;
    }
    let took = withdrawn.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    partner.refused(at).await;
    let reason = DenyReason::TrustDomainUnknown;
    ingress.records.refused(reason).await;
    let cut = ingress.records.event("connection.cut").await;
    assert_eq!(
        (cut["reason"].as_str(), cut["peer"].as_str()),
        (Some(reason.code()), Some(partners(AGENT).as_str()))
    );
    let calls = workload.count();
    let request = two.request("GET", "/").body(full("")).unwrap();
    if let Ok(response) = two.try_send(request).await {
        assert_eq!(response.status(), 403);
    }
    assert_eq!(workload.count(), calls);
    kept.flows().await;

    let back = format!("[trust]\n{PARTNER}");
    ingress.applies(|| ingress.edit("[trust]\n", &back)).await;
    assert_eq!(partner.http2(at).await.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_is_called_is_cut_within_a_second_of_its_withdrawal() {
    let both = Federation::new();
    let (workload, mut opened) = workload().await;
    let theirs = both.partner.sidecar_that_is(&identity(&both.partner));
    let theirs = theirs
        .trust(&both.partner.domain)
        .trust(&both.own.domain)
        .towards_workload(workload.address)
        .start()
        .await;
    let egress = both.egress(theirs.address()).start().await;
    let mut client = Client::http2(egress.address()).await;
    let stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let calls = workload.count();

    let withdrawn = Instant::now();
    egress.edit(PARTNER, "");
    stream.ends().await;
    let took = withdrawn.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    let answer = client.get("/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-tls"));
    egress.records.refused(DenyReason::TrustDomainUnknown).await;
    assert_eq!(workload.count(), calls);
}

/// The table `[identity]` of the partner's MCP server.
fn identity(partner: &World) -> String {
    let svid = partner.svid(MCP);
    let chain = partner.write("partner.svid.pem", &svid.chain_pem());
    let key = partner.write("partner.key.pem", svid.key_pem().as_str());
    format!("[identity]\nsvid = {chain:?}\nkey = {key:?}\n")
}

/// What `forger` can make to pass for `claimed`, an ID of `victim`'s domain.
fn forgeries(
    forger: &TestDomain,
    victim: &TestDomain,
    claimed: &str,
) -> Vec<(&'static str, TestSvid)> {
    let by_root = forger.root().leaf(claimed).issue();
    let below = forger.root().intermediate("issuing CA");
    let namesake = format!("{} root", victim.trust_domain());
    let namesake = forger.root().intermediate(&namesake);
    let roots = [victim.root().certificate().clone()];
    vec![
        ("with its root", by_root.clone()),
        ("with the victim's root behind", by_root.with_more(&roots)),
        ("with an intermediate", below.leaf(claimed).issue()),
        ("with an intermediate and the victim's root behind", {
            below.leaf(claimed).issue().with_more(&roots)
        }),
        ("with an intermediate called like the victim's root", {
            namesake.leaf(claimed).issue()
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_domain_can_call_in_the_name_of_another() {
    let both = Federation::new();
    let workload = Workload::ok().await;
    let (own, partner) = (&both.own.domain, &both.partner.domain);
    for (forger, victim, claimed) in [(partner, own, id(AGENT)), (own, partner, partners(AGENT))] {
        for (how, svid) in forgeries(forger, victim, &claimed) {
            let ingress = both.ingress(workload.address).await;
            both.peer(&svid).refused(ingress.address()).await;
            let refused = ingress.records.event("connection.refused").await;
            let reason = DenyReason::IssuerUntrusted.code();
            assert_eq!(refused["reason"], reason, "{claimed} {how}");
            // Who it claimed to be is nobody's business: it was not proved.
            assert_eq!(refused.get("peer"), None, "{claimed} {how}");
        }
    }
    assert_eq!(workload.count(), 0);
    let ingress = both.ingress(workload.address).await;
    for svid in [both.own.svid(AGENT), both.partner.svid(AGENT)] {
        let mut client = both.peer(&svid).http2(ingress.address()).await;
        assert_eq!(client.get("/").await.status, 200);
    }
}

/// A server that shows this, and its calls.
async fn server(both: &Federation, svid: &TestSvid) -> (SocketAddr, Workload) {
    let workload = Workload::ok().await;
    let counted = workload.calls.clone();
    let peer = both.peer(svid).alpn("h2");
    let server = peer
        .listen(move |stream| {
            let counted = counted.clone();
            serve(stream, Version::Http2, move |_request| {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                async { http::Response::new(full("ok")) }
            })
        })
        .await;
    (server.address, workload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_domain_can_answer_in_the_name_of_another() {
    let both = Federation::new();
    let (own, partner) = (&both.own.domain, &both.partner.domain);
    for (forger, victim, claimed) in [(partner, own, id(MCP)), (own, partner, partners(MCP))] {
        for (how, svid) in forgeries(forger, victim, &claimed) {
            let (address, calls) = server(&both, &svid).await;
            let egress = both.egress(address).start().await;
            let mut client = Client::http1(egress.address()).await;
            assert_eq!(client.get("/").await.status, 502, "{claimed} {how}");
            let refused = egress.records.event("connection.refused").await;
            let reason = DenyReason::IssuerUntrusted.code();
            assert_eq!(refused["reason"], reason, "{claimed} {how}");
            assert_eq!(refused.get("peer"), None, "{claimed} {how}");
            assert_eq!(calls.count(), 0, "{claimed} {how}");
        }
    }
    for svid in [both.own.svid(MCP), both.partner.svid(MCP)] {
        let (address, calls) = server(&both, &svid).await;
        let egress = both.egress(address).start().await;
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(calls.count(), 1);
    }
}

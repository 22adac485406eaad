use http::uri::{Authority, Scheme};
use pqlane_certs::clock::FixedClock;
use pqlane_certs::testing::NOW;

use super::*;
use crate::headers::UpstreamName;
use crate::limits::Limits;
use crate::pool::{Address, Connector};
use crate::seal::{Keyring, Purpose, Scope};
use crate::transport::HttpVersion;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn upstream(name: &'static str) -> Arc<Upstream> {
    let connector = Connector::Plain {
        address: Address::Tcp(name.to_owned()),
        version: HttpVersion::H1,
    };
    let name = UpstreamName::new(Scheme::HTTP, Authority::from_static(name));
    Upstream::new(name, connector, &Limits::default())
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

/// A listener with two backends.
struct Lane {
    sessions: Arc<McpSessions>,
    clock: Arc<FixedClock>,
    one: Arc<Upstream>,
    two: Arc<Upstream>,
    planner: SpiffeId,
}

impl Lane {
    fn new(backend: &str) -> Self {
        let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let sealer = Keyring::parse(key.as_bytes())
            .unwrap()
            .sealer(&Scope {
                purpose: Purpose::McpSession,
                own: &id("spiffe://example.org/mcp/weather"),
                route: "inbound",
            })
            .unwrap();
        let clock = Arc::new(FixedClock::new(NOW));
        let (one, two) = (upstream("127.0.0.1:1"), upstream("127.0.0.1:2"));
        let further = vec![(backend.to_owned(), Arc::clone(&two))];
        let sessions = McpSessions::new(sealer, Arc::clone(&one), further, clock.clone(), DAY);
        Self {
            sessions: Arc::new(sessions),
            clock,
            one,
            two,
            planner: id("spiffe://example.org/agent/planner"),
        }
    }

    fn enter(&self, headers: &mut HeaderMap) -> Result<(Arc<Upstream>, CallSession), Denial> {
        let permitted = Arc::clone(&self.one);
        self.sessions
            .enter(&self.planner, permitted, Begins::Session, headers)
    }

    /// Begins a session: the backend that holds it, and its id.
    fn begin(&self) -> (Arc<Upstream>, HeaderValue) {
        let (upstream, session) = self.enter(&mut HeaderMap::new()).unwrap();
        let mut answer = carrying("s-1");
        session.seal_new(&mut answer).unwrap();
        (upstream, answer[SESSION_ID].clone())
    }
}

fn carrying(id: &str) -> HeaderMap {
    HeaderMap::from_iter([(SESSION_ID, HeaderValue::from_str(id).unwrap())])
}

#[test]
fn a_session_stays_with_the_backend_that_it_began_at() {
    let lane = Lane::new("two");
    for turn in [&lane.one, &lane.two, &lane.one, &lane.two] {
        let (upstream, sealed) = lane.begin();
        assert!(Arc::ptr_eq(&upstream, turn));
        for _ in 0..3 {
            let mut head = HeaderMap::from_iter([(SESSION_ID, sealed.clone())]);
            let (upstream, session) = lane.enter(&mut head).unwrap();
            assert!(Arc::ptr_eq(&upstream, turn));
            assert_eq!(head[SESSION_ID], "s-1");
            let mut answer = carrying("s-1");
            session.seal_new(&mut answer).unwrap();
            assert_eq!(answer[SESSION_ID], sealed);
        }
    }
}

#[test]
fn what_goes_elsewhere_takes_no_turn_and_gives_no_session() {
    let lane = Lane::new("two");
    let grpc = upstream("127.0.0.1:3");
    let permitted = Arc::clone(&grpc);
    let entered = lane.sessions.enter(
        &lane.planner,
        permitted,
        Begins::Session,
        &mut HeaderMap::new(),
    );
    let (upstream, session) = entered.unwrap();
    assert!(Arc::ptr_eq(&upstream, &grpc));
    let mut answer = carrying("s-1");
    session.seal_new(&mut answer).unwrap();
    assert!(answer.is_empty());
    assert!(Arc::ptr_eq(&lane.begin().0, &lane.one));
}

#[test]
fn every_bad_id_is_one_reason_whose_cause_only_the_record_tells() {
    let lane = Lane::new("two");
    let (_, sealed) = lane.begin();
    let (_, of_two) = lane.begin();
    let cause = |lane: &Lane, id: &HeaderValue| {
        let mut head = HeaderMap::from_iter([(SESSION_ID, id.clone())]);
        let denial = lane.enter(&mut head).err().unwrap();
        assert_eq!(denial.reason, DenyReason::SessionUnknown);
        denial.detail.unwrap()
    };
    let mut causes = vec![
        cause(&lane, &HeaderValue::from_static("s-1")),
        cause(&Lane::new("renamed"), &of_two),
    ];
    let mut several = HeaderMap::new();
    several.append(SESSION_ID, sealed.clone());
    several.append(SESSION_ID, sealed.clone());
    causes.push(lane.enter(&mut several).err().unwrap().detail.unwrap());
    lane.clock.advance(DAY);
    let mut head = HeaderMap::from_iter([(SESSION_ID, sealed.clone())]);
    assert!(lane.enter(&mut head).is_ok());
    lane.clock.advance(Duration::from_secs(1));
    causes.push(cause(&lane, &sealed));
    assert_eq!(
        causes,
        [
            "not a sealed id",
            "its backend \"two\" is not configured",
            "several session ids",
            "sealed too long ago",
        ]
    );
}

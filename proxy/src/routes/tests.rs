use http::Request;

use super::*;
use crate::headers::UpstreamName;
use crate::limits::Limits;
use crate::pool::{Address, Connector};
use crate::transport::HttpVersion;

fn upstream(name: &'static str) -> Arc<Upstream> {
    let connector = Connector::Plain {
        address: Address::Tcp(name.to_owned()),
        version: HttpVersion::H1,
    };
    let authority = Authority::from_static(name);
    let name = UpstreamName::new(http::uri::Scheme::HTTP, authority);
    Upstream::new(name, connector, &Limits::default())
}

fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn allow(pattern: &str) -> AllowList {
    AllowList::from(vec![pattern.parse().unwrap()])
}

#[test]
fn a_path_route_covers_whole_segments_and_the_longest_one_decides() {
    let routes = InboundRoutes {
        authorities: Vec::new(),
        grpc_to: GrpcTo::ItsOwn,
        workload: upstream("127.0.0.1:1"),
        grpc_workload: None,
        paths: vec![
            PathRoute {
                prefix: "/mcp".into(),
                allow: allow("spiffe://example.org/user"),
            },
            PathRoute {
                prefix: "/mcp/admin".into(),
                allow: allow("spiffe://example.org/admin"),
            },
        ],
    };
    let user: SpiffeId = "spiffe://example.org/user".parse().unwrap();
    let asked = |path: &str| {
        let head = head(path, &[]);
        let call = Call::read_head(&head);
        let permitted = routes.permit(Some(&user), &call, &Authority::from_static("localhost"));
        permitted.err().map(|denial| denial.reason)
    };
    assert_eq!(asked("/mcp"), None);
    assert_eq!(asked("/mcp/x?a=/../b"), None);
    assert_eq!(asked("/mcp/administrator"), None);
    assert_eq!(asked("/mcp/admin"), Some(DenyReason::RouteNotAllowed));
    assert_eq!(asked("/mcp/admin/x"), Some(DenyReason::RouteNotAllowed));
    assert_eq!(asked("/elsewhere"), None);
    assert_eq!(asked("/caf%C3%A9%20noir"), None);
    for odd in [
        "/mcp/%61dmin",
        "/mcp%2fadmin",
        "/mcp//admin",
        "/mcp/./admin",
        "/x/../mcp/admin",
        "/mcp/admin;x",
        "/mcp/a%zz",
        "/%c0%ae%c0%ae/mcp/admin",
        "/mcp/%+1",
    ] {
        assert_eq!(asked(odd), Some(DenyReason::AmbiguousPath), "{odd}");
    }
}

#[test]
fn grpc_goes_to_its_own_workload() {
    let routes = InboundRoutes {
        authorities: Vec::new(),
        grpc_to: GrpcTo::ItsOwn,
        workload: upstream("127.0.0.1:1"),
        grpc_workload: Some(upstream("127.0.0.1:2")),
        paths: Vec::new(),
    };
    let to = |kind: &str| {
        let head = head("/x", &[("content-type", kind)]);
        let upstream = routes
            .permit(
                None,
                &Call::read_head(&head),
                &Authority::from_static("localhost"),
            )
            .unwrap();
        upstream.name().authority.to_string()
    };
    assert_eq!(to("application/grpc"), "127.0.0.1:2");
    assert_eq!(to("application/json"), "127.0.0.1:1");
}

fn outbound(side: LocalSide) -> OutboundRoutes {
    let by_authority = [("agent.localhost", "agent:1"), ("peer.example", "peer:1")];
    OutboundRoutes {
        side,
        default: Some(upstream("default:1")),
        by_authority: by_authority
            .into_iter()
            .map(|(name, to)| (name.to_owned(), upstream(to)))
            .collect(),
    }
}

fn asked(
    routes: &OutboundRoutes,
    uri: &str,
    headers: &[(&str, &str)],
) -> Result<String, DenyReason> {
    let head = head(uri, headers);
    let authority = crate::headers::authority_of(&head)?;
    match routes.permit(&head, &Call::read_head(&head), &authority) {
        Ok(upstream) => Ok(upstream.name().authority.to_string()),
        Err(denial) => Err(denial.reason),
    }
}

#[test]
fn routes_are_found_by_name_and_by_proxied_authority() {
    let routes = outbound(LocalSide::Port);
    let to = |uri: &str, headers: &[(&str, &str)]| asked(&routes, uri, headers);
    assert_eq!(
        to("/", &[("host", "127.0.0.1:4110")]),
        Ok("default:1".into())
    );
    assert_eq!(to("/", &[("host", "[::1]:4110")]), Ok("default:1".into()));
    assert_eq!(to("/", &[("host", "LOCALHOST")]), Ok("default:1".into()));
    assert_eq!(
        to("/", &[("host", "Agent.localhost:4110")]),
        Ok("agent:1".into())
    );
    assert_eq!(
        to("http://peer.example/", &[("host", "peer.example")]),
        Ok("peer:1".into())
    );
    assert_eq!(
        to("/", &[("host", "other.localhost")]),
        Err(DenyReason::RouteUnknown)
    );
    assert_eq!(
        to("http://other.example/", &[]),
        Err(DenyReason::RouteUnknown)
    );
}

#[test]
fn web_pages_are_turned_away_from_a_port_but_cannot_reach_a_socket() {
    let port = outbound(LocalSide::Port);
    let rebound = [("host", "evil.example.com")];
    assert_eq!(asked(&port, "/", &rebound), Err(DenyReason::HostNotLocal));
    for origin in [
        "http://evil.example.com",
        "null",
        "file://",
        "http://localhost.evil.com",
    ] {
        let headers = [("host", "localhost:4110"), ("origin", origin)];
        assert_eq!(
            asked(&port, "/", &headers),
            Err(DenyReason::OriginNotLocal),
            "{origin}"
        );
    }
    let local = [
        ("host", "localhost:4110"),
        ("origin", "http://localhost:4110"),
    ];
    assert_eq!(asked(&port, "/", &local), Ok("default:1".into()));

    let socket = outbound(LocalSide::Socket);
    let any = [
        ("host", "whatever.example"),
        ("origin", "http://page.example"),
    ];
    assert_eq!(asked(&socket, "/", &any), Ok("default:1".into()));
}

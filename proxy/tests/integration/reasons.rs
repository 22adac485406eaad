//! Every reason for a refusal, and the test that provokes it from outside.

use pqlane::deny::DenyReason;

/// How a reason is shown to arise.
#[derive(Clone, Copy)]
enum Provoked {
    /// By the test of this name in this module.
    By(&'static str, &'static str),
}

/// One table: the match that the compiler holds to be total, and the list of what it holds.
macro_rules! reasons {
    ($($reason:ident: $how:expr,)*) => {
        fn provoked(reason: DenyReason) -> Provoked {
            use Provoked::By;
            match reason {
                $(DenyReason::$reason => $how,)*
            }
        }

        const ALL: &[(DenyReason, &str)] =
            &[$((DenyReason::$reason, concat!("DenyReason::", stringify!($reason)))),*];
    };
}

reasons! {
    AmbiguousCall: By("calls", "a_call_that_can_be_read_in_two_ways_is_refused"),
    AmbiguousPath: By("access", "a_path_that_could_mean_a_guarded_one_is_refused"),
    AuditUnavailable: By("audit", "calls_are_denied_while_no_record_can_be_written"),
    CallTimeout: By("calls", "a_call_that_stops_halfway_is_given_up"),
    CallTooLarge: By("calls", "a_call_is_bounded_in_size_and_other_bodies_are_not"),
    CallerNotAllowed: By("agents", "a_user_that_a_socket_does_not_name_is_refused"),
    ChainTooLong: By("hostile", "refuses_a_chain_that_is_too_long"),
    ConnectMethod: By("local", "connect_is_refused_on_both_sides"),
    ContentEncoding: By("calls", "an_encoded_call_is_refused"),
    CrlUnusable: By("revocation", "a_peer_is_refused_while_its_issuers_list_is_out_of_date"),
    Downgraded: By("kx", "a_peer_that_has_shown_hybrid_is_refused_with_classical"),
    Draining: By("drain", "a_call_without_an_answer_at_the_deadline_is_told_that_the_lane_stops"),
    HandshakeAborted: By("hostile", "a_handshake_broken_off_is_on_record"),
    HandshakeTimeout: By("hostile", "a_handshake_that_stops_or_drips_is_cut"),
    HeadTimeout: By("local", "a_head_that_cannot_be_read_is_counted"),
    HeadTooLarge: By("local", "a_head_that_cannot_be_read_is_counted"),
    HeaderMismatch: By("calls", "an_mcp_header_that_differs_from_the_body_is_refused"),
    HostNotLocal: By("local", "a_host_that_is_not_local_is_refused"),
    IdentityUnavailable: By("rotation", "calls_are_refused_once_our_own_svid_has_expired"),
    IssuerConstrainsUris: By("revocation", "an_intermediate_that_constrains_uris_is_named"),
    IssuerUntrusted: By("hostile", "refuses_another_authority_that_claims_our_trust_domain"),
    KxPolicy: By("kx", "a_peer_whose_own_rule_is_stricter_than_the_listeners_is_refused"),
    MalformedCall: By("calls", "a_call_that_is_not_json_is_refused"),
    MalformedRequest: By("local", "a_request_with_no_or_several_authorities_is_malformed"),
    NoHybridGroup: By("hostile", "refuses_a_classical_client_and_records_what_it_offered"),
    NoPeerCertificate: By("hostile", "refuses_a_peer_without_certificate"),
    OriginNotLocal: By("local", "an_origin_that_is_not_local_is_refused"),
    PeerAlert: By("hostile", "a_peer_that_refuses_us_is_on_record"),
    PeerDenied: By("revocation", "a_denied_peer_is_refused_at_its_handshake_and_on_its_open_connection"),
    PeerNotAllowed: By("hostile", "refuses_an_id_that_is_not_allowed"),
    PeerSignature: By("hostile", "refuses_who_copied_an_svid_without_its_key"),
    ReadingBusy: By("calls", "calls_are_bounded_in_what_they_hold_together"),
    RouteNotAllowed: By("access", "a_route_is_for_those_it_names"),
    RouteUnknown: By("local", "an_authority_without_a_route_is_misdirected"),
    SessionUnknown: By("mcp_sessions", "a_session_id_of_another_peer_is_as_unknown_as_one_made_up"),
    SessionUnusable: By("mcp_sessions", "a_session_id_that_cannot_be_sealed_never_leaves"),
    SvidExpired: By("hostile", "refuses_an_expired_svid"),
    SvidKeyUsage: By("hostile", "refuses_an_svid_that_is_not_for_signing"),
    SvidLeafIsCa: By("hostile", "refuses_a_ca_as_a_leaf"),
    SvidMalformed: By("hostile", "refuses_a_certificate_that_cannot_be_read"),
    SvidManyUriSans: By("hostile", "refuses_an_svid_with_two_uri_sans"),
    SvidNoUriSan: By("hostile", "refuses_an_svid_without_uri_san"),
    SvidNotSpiffeId: By("hostile", "refuses_an_svid_whose_uri_is_no_workloads_id"),
    SvidNotYetValid: By("hostile", "refuses_an_svid_of_the_future"),
    SvidRevoked: By("revocation", "a_revoked_svid_is_refused"),
    TlsProtocol: By("hostile", "refuses_what_is_no_tls"),
    TlsVersion: By("hostile", "refuses_a_client_of_tls_1_2"),
    TooMany: By("access", "a_peer_has_no_more_calls_open_than_one_may"),
    TrustDomainUnknown: By("hostile", "refuses_a_trust_domain_nobody_told_it_of"),
    UpstreamBusy: By("pool", "a_call_beyond_the_upstreams_connections_is_told_that_it_is_busy"),
    UpstreamFailed: By("pool", "a_dead_upstream_is_said_to_have_failed"),
    UpstreamTls: By("upstream_trust", "an_upstream_that_refuses_us_is_said_to_have_refused"),
    UpstreamTimeout: By("pool", "an_upstream_that_never_answers_the_handshake_times_out"),
}

fn source(module: &str) -> &'static str {
    match module {
        "access" => include_str!("access.rs"),
        "agents" => include_str!("agents.rs"),
        "audit" => include_str!("audit.rs"),
        "calls" => include_str!("calls.rs"),
        "drain" => include_str!("drain.rs"),
        "hostile" => include_str!("hostile.rs"),
        "kx" => include_str!("kx.rs"),
        "local" => include_str!("local.rs"),
        "mcp_sessions" => include_str!("mcp_sessions.rs"),
        "pool" => include_str!("pool.rs"),
        "revocation" => include_str!("revocation.rs"),
        "rotation" => include_str!("rotation.rs"),
        "upstream_trust" => include_str!("upstream_trust.rs"),
        _ => panic!("no module {module}"),
    }
}

#[test]
fn every_reason_is_provoked_end_to_end() {
    for (reason, name) in ALL {
        let Provoked::By(module, test) = provoked(*reason);
        let heading = format!("worker_threads = 2)]\nasync fn {test}() {{\n");
        let (_, body) = source(module)
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{module} has no test {test}"));
        let (body, _) = body.split_once("\n}\n").unwrap();
        assert!(body.contains(name), "{module}::{test} asserts no {name}");
    }
}

#[test]
fn every_reason_has_a_code_of_its_own() {
    for (one, _) in ALL {
        let same = ALL.iter().filter(|(other, _)| other.code() == one.code());
        assert_eq!(same.count(), 1, "{}", one.code());
    }
}

//! Why something is refused, and the one table from that to what is told and written.

mod answer;

use http::StatusCode;

pub(crate) use answer::ReplyTo;

/// Every reason for which a connection or a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// The call's body could mean two things to two programs.
    AmbiguousCall,
    /// The path could mean two things to two programs, and a rule or the call depends on it.
    AmbiguousPath,
    /// No audit record can be written.
    AuditUnavailable,
    /// The rest of a call's body took longer than its limit.
    CallTimeout,
    /// The call's body is larger than its limit.
    CallTooLarge,
    /// The local caller is no user or program that the listener names.
    CallerNotAllowed,
    /// More certificates than a chain may hold.
    ChainTooLong,
    /// `CONNECT` was asked for.
    ConnectMethod,
    /// The request's body has a coding under which it cannot be read.
    ContentEncoding,
    /// A revocation list that the chain depends on is out of date or cannot be used.
    CrlUnusable,
    /// The peer has shown hybrid key exchange before and came with classical.
    Downgraded,
    /// The process is stopping.
    Draining,
    /// The peer closed or reset before the handshake ended.
    HandshakeAborted,
    /// The handshake took longer than its limit.
    HandshakeTimeout,
    /// A head took longer than its limit.
    HeadTimeout,
    /// A head is larger than its limit.
    HeadTooLarge,
    /// An MCP header does not say what the body says.
    HeaderMismatch,
    /// A local caller's `Host` is not a loopback name: DNS rebinding.
    HostNotLocal,
    /// Our own SVID is not there yet, or has expired.
    IdentityUnavailable,
    /// An issuer constrains URIs, which is not supported.
    IssuerConstrainsUris,
    /// The SVID is not signed by its trust domain.
    IssuerUntrusted,
    /// What was negotiated is not what the peer's policy asks for.
    KxPolicy,
    /// The call's body is not what its protocol asks for.
    MalformedCall,
    /// Head or authority is malformed.
    MalformedRequest,
    /// No group is common with the policy: the peer is classical.
    NoHybridGroup,
    /// The peer sent no certificate.
    NoPeerCertificate,
    /// A local caller's `Origin` is not a loopback origin: a web page.
    OriginNotLocal,
    /// The peer ended the handshake with an alert.
    PeerAlert,
    /// The deny-list names the peer's SPIFFE ID, its trust domain or its SVID.
    PeerDenied,
    /// The peer's SPIFFE ID is on no allow-list of the listener or route.
    PeerNotAllowed,
    /// The peer does not hold the key of its SVID.
    PeerSignature,
    /// The bodies of all calls hold as much memory as they may.
    ReadingBusy,
    /// The peer's ID may use the listener, but not this route.
    RouteNotAllowed,
    /// No route has this authority.
    RouteUnknown,
    /// A session id that is not this peer's, not sealed by us, or not valid any more.
    SessionUnknown,
    /// The workload gave a session id that cannot be sealed.
    SessionUnusable,
    /// The SVID has expired.
    SvidExpired,
    /// The SVID may not be used to sign a handshake.
    SvidKeyUsage,
    /// The SVID is a CA.
    SvidLeafIsCa,
    /// The SVID cannot be read.
    SvidMalformed,
    /// The SVID has several URI SANs.
    SvidManyUriSans,
    /// The SVID has no URI SAN.
    SvidNoUriSan,
    /// The SVID's URI SAN is no SPIFFE ID of a workload.
    SvidNotSpiffeId,
    /// The SVID is not valid yet.
    SvidNotYetValid,
    /// The SVID or one of its issuers has been revoked.
    SvidRevoked,
    /// The peer broke the TLS protocol or offers nothing else in common.
    TlsProtocol,
    /// The peer does not speak TLS 1.3.
    TlsVersion,
    /// The peer has as many connections or calls open as one may have.
    TooMany,
    /// There is no bundle for the SVID's trust domain.
    TrustDomainUnknown,
    /// All connections to the upstream are taken.
    UpstreamBusy,
    /// The upstream refused the connection or closed before it answered.
    UpstreamFailed,
    /// The upstream's side of the lane could not be trusted, or refused us.
    UpstreamTls,
    /// No connection to the upstream in time.
    UpstreamTimeout,
}

/// What a reason means to each reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Label in audit records, metrics and answers; stable.
    pub code: &'static str,
    /// Status of the HTTP answer, where there is one.
    pub status: StatusCode,
    /// Status of the gRPC answer (gRPC status codes 0–16).
    pub grpc_status: u8,
    /// Code of the JSON-RPC error. Those of our own lie outside the range that JSON-RPC 2.0 §5.1 keeps: the HTTP
    /// status below -31,000, such as -31,403.
    pub rpc_code: i32,
    /// One sentence for the caller.
    pub message: &'static str,
}

const GRPC_INVALID_ARGUMENT: u8 = 3;
const GRPC_NOT_FOUND: u8 = 5;
const GRPC_PERMISSION_DENIED: u8 = 7;
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;
const GRPC_UNIMPLEMENTED: u8 = 12;
const GRPC_UNAVAILABLE: u8 = 14;
const GRPC_UNAUTHENTICATED: u8 = 16;

const OWN_RPC_CODES: i32 = -31_000;
/// JSON-RPC 2.0 §5.1.
const RPC_INVALID_REQUEST: i32 = -32_600;
/// As MCP's own servers say it.
const RPC_SESSION_UNKNOWN: i32 = -32_001;
/// `HeaderMismatch` of MCP 2026-07-28.
const RPC_HEADER_MISMATCH: i32 = -32_020;

const fn row(
    code: &'static str,
    status: StatusCode,
    grpc_status: u8,
    message: &'static str,
) -> Row {
    Row {
        code,
        status,
        grpc_status,
        rpc_code: OWN_RPC_CODES - status.as_u16() as i32,
        message,
    }
}

impl Row {
    /// The same with a JSON-RPC code that a specification gives to the reason.
    const fn rpc(self, rpc_code: i32) -> Self {
        Self { rpc_code, ..self }
    }
}

impl DenyReason {
    /// The table.
    #[rustfmt::skip]
    #[expect(clippy::too_many_lines, reason = "a table, one entry for each reason")]
    pub const fn row(self) -> Row {
        use StatusCode as S;
        match self {
            Self::AmbiguousCall => row("ambiguous-call", S::BAD_REQUEST, GRPC_INVALID_ARGUMENT,
                "the call can be read in more than one way").rpc(RPC_INVALID_REQUEST),
            Self::AmbiguousPath => row("ambiguous-path", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the path is not in its plain form; routes are matched on the plain form only"),
            Self::AuditUnavailable => row("audit-unavailable", S::SERVICE_UNAVAILABLE, GRPC_UNAVAILABLE,
                "no audit record can be written, and calls without one are not carried"),
            Self::CallTimeout => row("call-timeout", S::REQUEST_TIMEOUT, GRPC_UNAVAILABLE,
                "the body of the call took too long"),
            Self::CallTooLarge => row("call-too-large", S::PAYLOAD_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,
                "the body of the call is too large"),
            Self::CallerNotAllowed => row("caller-not-allowed", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "this user or program may not call through this socket"),
            Self::ChainTooLong => row("chain-too-long", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's certificate chain is longer than allowed"),
            Self::ConnectMethod => row("connect-method", S::METHOD_NOT_ALLOWED, GRPC_UNIMPLEMENTED,
                "CONNECT is not carried; send the request itself, in absolute form"),
            Self::ContentEncoding => row("content-encoding", S::UNSUPPORTED_MEDIA_TYPE, GRPC_UNIMPLEMENTED,
                "a call must be sent without Content-Encoding"),
            Self::CrlUnusable => row("crl-unusable", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "a revocation list about the peer's issuers is out of date or cannot be used"),
            Self::Downgraded => row("downgraded", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer has shown hybrid key exchange before and now came with classical"),
            Self::Draining => row("draining", S::SERVICE_UNAVAILABLE, GRPC_UNAVAILABLE,
                "the lane is stopping"),
            Self::HandshakeAborted => row("handshake-aborted", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the peer closed before the handshake ended"),
            Self::HandshakeTimeout => row("handshake-timeout", S::GATEWAY_TIMEOUT, GRPC_UNAVAILABLE,
                "the handshake took too long"),
            Self::HeadTimeout => row("head-timeout", S::REQUEST_TIMEOUT, GRPC_UNAVAILABLE,
                "the head of the request took too long"),
            Self::HeadTooLarge => row("head-too-large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,
                "the head of the request is too large"),
            Self::HeaderMismatch => row("header-mismatch", S::BAD_REQUEST, GRPC_INVALID_ARGUMENT,
                "an MCP header is missing or differs from the body of the call").rpc(RPC_HEADER_MISMATCH),
            Self::HostNotLocal => row("host-not-local", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the Host of a local call must be a loopback name or a configured route"),
            Self::IdentityUnavailable => row("identity-unavailable", S::SERVICE_UNAVAILABLE, GRPC_UNAVAILABLE,
                "the lane has no valid identity of its own"),
            Self::IssuerConstrainsUris => row("issuer-constrains-uris", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "an issuer of the peer has name constraints on URIs, which are not supported"),
            Self::IssuerUntrusted => row("issuer-untrusted", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's SVID is not signed by its trust domain"),
            Self::KxPolicy => row("kx-policy", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the handshake is weaker than this peer's policy asks for"),
            Self::MalformedCall => row("malformed-call", S::BAD_REQUEST, GRPC_INVALID_ARGUMENT,
                "the body of the call is not what its protocol asks for").rpc(RPC_INVALID_REQUEST),
            Self::MalformedRequest => row("malformed-request", S::BAD_REQUEST, GRPC_INVALID_ARGUMENT,
                "the request needs exactly one authority, the same wherever it is given"),
            Self::NoHybridGroup => row("no-hybrid-group", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer offers no hybrid post-quantum key exchange"),
            Self::NoPeerCertificate => row("no-peer-certificate", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer sent no certificate"),
            Self::OriginNotLocal => row("origin-not-local", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the Origin of a local call must be a loopback origin"),
            Self::PeerAlert => row("peer-alert", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the peer refused the handshake"),
            Self::PeerDenied => row("peer-denied", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the peer is on the deny-list"),
            Self::PeerNotAllowed => row("peer-not-allowed", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the peer's SPIFFE ID is not allowed here"),
            Self::PeerSignature => row("peer-signature", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer did not prove that it holds the key of its SVID"),
            Self::ReadingBusy => row("reading-busy", S::SERVICE_UNAVAILABLE, GRPC_RESOURCE_EXHAUSTED,
                "too many large calls are being read at once"),
            Self::RouteNotAllowed => row("route-not-allowed", S::FORBIDDEN, GRPC_PERMISSION_DENIED,
                "the caller's SPIFFE ID is not allowed on this route"),
            Self::RouteUnknown => row("route-unknown", S::MISDIRECTED_REQUEST, GRPC_PERMISSION_DENIED,
                "no route is configured for this authority"),
            Self::SessionUnknown => row("session-unknown", S::NOT_FOUND, GRPC_NOT_FOUND,
                "Session not found").rpc(RPC_SESSION_UNKNOWN),
            Self::SessionUnusable => row("session-unusable", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the workload gave a session id that cannot be sealed"),
            Self::SvidExpired => row("svid-expired", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's SVID has expired"),
            Self::SvidKeyUsage => row("svid-key-usage", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's SVID is not for signing handshakes"),
            Self::SvidLeafIsCa => row("svid-leaf-is-ca", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's certificate is a CA, not an SVID"),
            Self::SvidMalformed => row("svid-malformed", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's certificate cannot be read"),
            Self::SvidManyUriSans => row("svid-many-uri-sans", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's certificate has more than one URI SAN"),
            Self::SvidNoUriSan => row("svid-no-uri-san", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's certificate has no URI SAN"),
            Self::SvidNotSpiffeId => row("svid-not-spiffe-id", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's URI SAN is not the SPIFFE ID of a workload"),
            Self::SvidNotYetValid => row("svid-not-yet-valid", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's SVID is not valid yet"),
            Self::SvidRevoked => row("svid-revoked", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "the peer's SVID or one of its issuers has been revoked"),
            Self::TlsProtocol => row("tls-protocol", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the peer's handshake could not be understood or agreed"),
            Self::TlsVersion => row("tls-version", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the peer does not speak TLS 1.3"),
            Self::TooMany => row("too-many", S::SERVICE_UNAVAILABLE, GRPC_RESOURCE_EXHAUSTED,
                "the peer has as many connections or calls open as one may have"),
            Self::TrustDomainUnknown => row("trust-domain-unknown", S::FORBIDDEN, GRPC_UNAUTHENTICATED,
                "no trust bundle is configured for the peer's trust domain"),
            Self::UpstreamBusy => row("upstream-busy", S::SERVICE_UNAVAILABLE, GRPC_RESOURCE_EXHAUSTED,
                "every connection to the upstream is taken"),
            Self::UpstreamFailed => row("upstream-failed", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "the upstream cannot be reached or closed before it answered"),
            Self::UpstreamTls => row("upstream-tls", S::BAD_GATEWAY, GRPC_UNAVAILABLE,
                "no trusted post-quantum connection to the upstream could be made"),
            Self::UpstreamTimeout => row("upstream-timeout", S::GATEWAY_TIMEOUT, GRPC_UNAVAILABLE,
                "the upstream did not accept a connection in time"),
        }
    }

    /// The stable label.
    pub const fn code(self) -> &'static str {
        self.row().code
    }
}

/// A refusal on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenyReason,
    /// What exactly, for the record and the log; never sent to a peer.
    pub detail: Option<String>,
}

impl From<DenyReason> for Denial {
    fn from(reason: DenyReason) -> Self {
        Self {
            reason,
            detail: None,
        }
    }
}

impl Denial {
    /// A refusal with the particulars that go on record.
    pub fn with_detail(reason: DenyReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: Some(detail.into()),
        }
    }
}

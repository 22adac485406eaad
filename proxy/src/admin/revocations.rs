//! `/v1/revocations`: who may change something, and what the calls answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use serde::Serialize;

use super::token::AdminToken;
use super::{Admin, Via, json};
use crate::app::{NotRevoked, Revoked, StillRevoked};
use crate::body::LaneBody;
use crate::remediation::Remediation;
use crate::revocations::asked::{Asked, MAX_ASKED_BYTES};
use crate::revocations::{NotLifted, Told};
use crate::tls::with_causes;

/// Why a call that changes something is refused before it is looked at.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the body took longer than {} s", .0.as_secs())]
    BodyTimeout(Duration),
    #[error("the body broke off")]
    BodyTorn,
    #[error("the content-type must be application/json")]
    ContentType,
    #[error(
        "over TCP nothing can be changed without a token: set [admin] token_file, or listen on unix:PATH"
    )]
    NoToken,
    #[error("the body is longer than {MAX_ASKED_BYTES} bytes")]
    TooLong,
    #[error("this takes the token in [admin] token_file, as Authorization: Bearer TOKEN")]
    WrongToken,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTorn => StatusCode::BAD_REQUEST,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoToken => StatusCode::FORBIDDEN,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongToken => StatusCode::UNAUTHORIZED,
        }
    }

    fn response(&self) -> Response<LaneBody> {
        let mut response = wrong(self.status(), self.to_string());
        if matches!(self, Self::WrongToken) {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Whether a caller may change something: our own user on the Unix socket, or who bears the token.
fn may_change(token: Option<&AdminToken>, via: Via, fields: &HeaderMap) -> Result<(), Refused> {
    match (via, token) {
        (Via::Unix, _) => Ok(()),
        (Via::Tcp, None) => Err(Refused::NoToken),
        (Via::Tcp, Some(token)) => match token.is_borne_by(fields) {
            true => Ok(()),
            false => Err(Refused::WrongToken),
        },
    }
}

impl Admin {
    /// The entries in force.
    pub(super) fn revocations(&self) -> Response<LaneBody> {
        let entries = self.revoker.entries();
        json(&InForce {
            revocations: entries.iter().map(|entry| Told::from(&**entry)).collect(),
        })
    }

    /// `POST /v1/revocations`.
    pub(super) async fn revoke(&self, request: Request<Incoming>, via: Via) -> Response<LaneBody> {
        let (head, body) = request.into_parts();
        let body = match self.permitted(&head, body, via).await {
            Ok(body) => body,
            Err(refused) => return refused.response(),
        };
        let remediation = Remediation::begin();
        let asked = match Asked::read(&body) {
            Ok(asked) => asked,
            Err(error) => return wrong(StatusCode::BAD_REQUEST, error.to_string()),
        };
        match Arc::clone(&self.revoker).revoke(asked, remediation).await {
            Ok(revoked) => created(&revoked),
            Err(error) => {
                let status = match error {
                    NotRevoked::NotAdded(_) => StatusCode::CONFLICT,
                    NotRevoked::NotSaved { .. } | NotRevoked::Stopping => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                };
                wrong(status, with_causes(&error))
            }
        }
    }

    /// `DELETE /v1/revocations/{id}`.
    pub(super) async fn lift(&self, fields: &HeaderMap, id: &str, via: Via) -> Response<LaneBody> {
        if let Err(refused) = may_change(self.token.as_deref(), via, fields) {
            return refused.response();
        }
        match Arc::clone(&self.revoker).lift(id.to_owned()).await {
            Ok(()) => {
                let mut response = Response::new(LaneBody::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(error) => {
                let status = match error {
                    StillRevoked::NotLifted(NotLifted::Unknown) => StatusCode::NOT_FOUND,
                    StillRevoked::NotLifted(NotLifted::Journal(_)) | StillRevoked::Stopping => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                };
                wrong(status, with_causes(&error))
            }
        }
    }

    /// The body of a call that may change something.
    async fn permitted(&self, head: &Parts, body: Incoming, via: Via) -> Result<Vec<u8>, Refused> {
        may_change(self.token.as_deref(), via, &head.headers)?;
        // A web page cannot send this without asking first, which is never granted.
        if !is_json(head) {
            return Err(Refused::ContentType);
        }
        let in_time = self.limits.request_head;
        tokio::time::timeout(in_time, whole(head, body))
            .await
            .unwrap_or(Err(Refused::BodyTimeout(in_time)))
    }
}

fn is_json(head: &Parts) -> bool {
    let mut all = head.headers.get_all(CONTENT_TYPE).iter();
    let only = all.next().and_then(|value| value.to_str().ok());
    let essence = only.and_then(|value| value.split(';').next());
    all.next().is_none()
        && essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

async fn whole(head: &Parts, mut body: Incoming) -> Result<Vec<u8>, Refused> {
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_ASKED_BYTES) {
        return Err(Refused::TooLong);
    }
    let mut bytes = Vec::new();
    loop {
        let frame =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
        match frame.await {
            None => return Ok(bytes),
            Some(Err(_broken)) => return Err(Refused::BodyTorn),
            Some(Ok(frame)) => {
                let part = frame.data_ref().map(|part| &part[..]).unwrap_or_default();
                if bytes.len() + part.len() > MAX_ASKED_BYTES {
                    return Err(Refused::TooLong);
                }
                bytes.extend_from_slice(part);
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct InForce {
    revocations: Vec<Told>,
}

/// What a revocation is answered with.
#[derive(Debug, Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    revocation: Told,
    /// With which epoch of rules it took effect.
    epoch: u64,
    connections_cut: usize,
    streams_cut: usize,
    /// From the call to the end of the last stream.
    delay_us: u64,
    end: &'a str,
}

fn created(revoked: &Revoked) -> Response<LaneBody> {
    let Revoked {
        revocation,
        epoch,
        remedied,
    } = revoked;
    let mut response = json(&Created {
        revocation: Told::from(&**revocation),
        epoch: *epoch,
        connections_cut: remedied.connections,
        streams_cut: remedied.streams,
        delay_us: remedied.delay_us(),
        end: remedied.end.as_str(),
    });
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("/v1/revocations/{}", revocation.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// What is wrong, as `{"error":…}`.
fn wrong(status: StatusCode, error: String) -> Response<LaneBody> {
    let mut response = json(&serde_json::json!({ "error": error }));
    *response.status_mut() = status;
    response
}

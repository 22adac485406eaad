//! One call of the Workload API.

use std::future::{Ready, ready};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, ServerStreamingService};
use tonic::{Request, Response, Status};

use super::estate::{Estate, Published};
use crate::workload_api::{
    FETCH_X509_BUNDLES, FETCH_X509_SVID, SECURITY_HEADER, SECURITY_HEADER_VALUE, WholeMessage,
};

/// The most bytes in a request, which has no fields.
const MAX_REQUEST_LEN: usize = 4 * 1024;

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Answers with a stream, or says why not. Spec: Workload API §4 (metadata), §6 (errors).
pub(super) async fn answer(
    estate: &Estate,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    let shown = match request.uri().path() {
        FETCH_X509_BUNDLES => Shown::Bundles,
        FETCH_X509_SVID => Shown::Svids,
        _ => {
            return Status::unimplemented("X.509 only: FetchX509SVID and FetchX509Bundles")
                .into_http();
        }
    };
    let method = Fetch {
        shown,
        watched: Some(estate.watch()),
    };
    Grpc::new(WholeMessage)
        .max_decoding_message_size(MAX_REQUEST_LEN)
        .server_streaming(method, request)
        .await
}

#[derive(Clone, Copy)]
enum Shown {
    Bundles,
    Svids,
}

impl Shown {
    fn of(self, published: &Published) -> Result<Bytes, Status> {
        match self {
            Self::Bundles => Ok(published.bundles.clone()),
            Self::Svids => published
                .svids
                .clone()
                .ok_or_else(|| Status::permission_denied("no identity issued")),
        }
    }
}

struct Fetch {
    shown: Shown,
    watched: Option<watch::Receiver<Published>>,
}

impl ServerStreamingService<Bytes> for Fetch {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Ready<Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = check(request.metadata()).and_then(|()| {
            let watched = self.watched.take();
            let watched = watched.ok_or_else(|| Status::internal("called twice"))?;
            Ok(Response::new(messages(self.shown, watched)))
        });
        ready(answer)
    }
}

fn check(metadata: &MetadataMap) -> Result<(), Status> {
    match metadata.get(SECURITY_HEADER) {
        Some(value) if value == SECURITY_HEADER_VALUE => Ok(()),
        Some(_) | None => Err(Status::invalid_argument(
            "security header missing from request: workload.spiffe.io must be true",
        )),
    }
}

/// What is published, now and whenever the part that is shown changes.
fn messages(shown: Shown, watched: watch::Receiver<Published>) -> Messages {
    struct State {
        watched: watch::Receiver<Published>,
        sent: Option<Bytes>,
    }
    let state = State {
        watched,
        sent: None,
    };
    let all = stream::try_unfold(state, move |mut state| async move {
        loop {
            let message = shown.of(&state.watched.borrow_and_update())?;
            if state.sent.as_ref() != Some(&message) {
                state.sent = Some(message.clone());
                return Ok(Some((message, state)));
            }
            if state.watched.changed().await.is_err() {
                return Ok(None);
            }
        }
    });
    Box::pin(all)
}

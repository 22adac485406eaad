//! The one body that answers leave with: nothing, or a received body passed on frame by frame.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::h1_pool::Lease;

/// The body of an answer on its way through.
#[derive(Debug, Default)]
pub(super) struct Relay {
    body: Option<Incoming>,
    lease: Option<Lease>,
}

impl Relay {
    /// Passes `body` on as it comes.
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body: Some(body),
            lease: None,
        }
    }

    /// The same, and gives the connection under `body` back when it has been read to its end.
    pub(super) fn with_lease(body: Incoming, lease: Lease) -> Self {
        let mut relay = Self {
            body: Some(body),
            lease: Some(lease),
        };
        relay.give_back_at_end();
        relay
    }

    fn give_back_at_end(&mut self) {
        if self.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => {
                self.body = None;
                self.give_back_at_end();
            }
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Ready(Some(Ok(_))) => self.give_back_at_end(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The answer when the next hop gave none.
pub(super) fn bad_gateway() -> Response<Relay> {
    let mut response = Response::new(Relay::default());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

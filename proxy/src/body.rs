//! The one body type that crosses the lane, in both directions.
//!
//! Frames pass as they come, data and trailers alike; only a call's request was gathered before. A tap on the body
//! counts, lets the stream's guard cut it, and closes the call's record exactly once.

mod ending;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::gather::{CallBody, Hold, Whole};
use crate::guard::PullCause;
use crate::headers;
use crate::pool::{Driven, Lease};
use crate::record::{OpenCall, Outcome};
use crate::session::CallSlot;
use ending::LastWords;
pub(crate) use ending::{Ending, last_event};

/// A request's or a response's body.
#[derive(Debug)]
pub(crate) struct LaneBody {
    source: Source,
    tap: Tap,
}

#[derive(Debug)]
enum Source {
    /// As it comes, behind what was looked at already.
    Incoming(Option<Bytes>, Incoming),
    /// There already, with its trailers and its share of the memory for such bodies.
    Read(Option<Bytes>, Option<HeaderMap>, Hold),
    /// Nothing more: the last words of a body that was cut have been said. It keeps its place on its connection
    /// until they are taken.
    Parting(#[expect(dead_code, reason = "held until the body is dropped")] CallSlot),
    /// Of our own.
    Whole(Option<Bytes>),
}

#[derive(Debug)]
enum Tap {
    None,
    Request(Arc<RequestProgress>),
    Response(Box<ResponseTap>),
}

/// How far a request's body has come.
#[derive(Debug, Default)]
pub(crate) struct RequestProgress {
    bytes: AtomicU64,
    ended: AtomicBool,
}

impl RequestProgress {
    /// Bytes passed so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing more of it will be sent.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// What a response's body holds while it flows.
#[derive(Debug)]
pub(crate) struct ResponseTap {
    /// The call's place on its connection, and the guard that can cut it.
    pub(crate) slot: CallSlot,
    /// The connection to the upstream, given back at the body's end.
    pub(crate) lease: Lease,
    /// The record, closed at the body's end.
    pub(crate) record: OpenCall,
    /// Status that was answered.
    pub(crate) status: StatusCode,
    /// How it can end before its end.
    pub(crate) ending: Ending,
    /// Bytes passed so far.
    pub(crate) bytes: u64,
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The stream's guard was pulled.
    #[error("the stream was ended: {0:?}")]
    Cut(PullCause),
    /// The other side of the lane broke off.
    #[error("the other side of the lane broke off")]
    Broken(#[from] hyper::Error),
}

impl LaneBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self {
            source: Source::Whole(None),
            tap: Tap::None,
        }
    }

    /// A request's body on its way to the upstream; its bytes are counted.
    pub(crate) fn request(body: CallBody, progress: Arc<RequestProgress>) -> Self {
        let source = match body {
            CallBody::Passing(first, rest) => Source::Incoming(first, rest),
            CallBody::Whole(Whole {
                bytes,
                trailers,
                hold,
            }) => Source::Read(
                Some(bytes).filter(|bytes| !bytes.is_empty()),
                trailers,
                hold,
            ),
        };
        Self {
            source,
            tap: Tap::Request(progress),
        }
    }

    /// A response's body on its way to the caller.
    pub(crate) fn response(body: Incoming, tap: ResponseTap) -> Self {
        let mut body = Self {
            source: Source::Incoming(None, body),
            tap: Tap::Response(Box::new(tap)),
        };
        body.finish_at_end();
        body
    }

    fn finish_at_end(&mut self) {
        if self.source.is_end_stream() {
            self.finish(Outcome::Completed);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(tap) = self.take_tap() {
            drop(tap.finish(outcome));
        }
    }

    fn take_tap(&mut self) -> Option<ResponseTap> {
        if !matches!(self.tap, Tap::Response(_)) {
            return None;
        }
        match std::mem::replace(&mut self.tap, Tap::None) {
            Tap::Response(tap) => Some(*tap),
            Tap::None | Tap::Request(_) => None,
        }
    }

    /// Why the lane under the body was cut from our side, if it was.
    fn cut_lane(&self) -> Option<PullCause> {
        match &self.tap {
            Tap::Response(tap) => tap.lease.cut(),
            Tap::None | Tap::Request(_) => None,
        }
    }

    /// Ends a body early. What its protocol can end in words ends so: an event stream between two events, after
    /// which a client asks again, and a gRPC call with its status. Anything else breaks off, so that nobody takes
    /// half of it for the whole.
    fn cut(&mut self, cause: PullCause) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.source = Source::Whole(None);
        let Some(mut tap) = self.take_tap() else {
            return Some(Err(BodyError::Cut(cause)));
        };
        let words = tap.ending.last_words(cause);
        if let LastWords::Say(frame) = &words {
            let said = frame.data_ref().map_or(0, Bytes::len);
            tap.bytes = tap
                .bytes
                .saturating_add(said.try_into().unwrap_or(u64::MAX));
        }
        let slot = tap.finish(Outcome::Cut(cause));
        match words {
            LastWords::BreakOff => Some(Err(BodyError::Cut(cause))),
            LastWords::Say(frame) => {
                // Whoever waits for the end of the stream waits until this body is dropped.
                self.source = Source::Parting(slot);
                Some(Ok(frame))
            }
        }
    }

    fn passed(&mut self, frame: &mut Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        match &mut self.tap {
            Tap::None => {}
            Tap::Request(progress) => {
                progress.bytes.fetch_add(length, Ordering::Relaxed);
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_trailers(trailers);
                }
            }
            Tap::Response(tap) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_session_ids(trailers);
                }
                tap.bytes = tap.bytes.saturating_add(length);
                tap.ending
                    .passed(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            }
        }
    }
}

impl ResponseTap {
    /// Closes the record; gives back the call's place on its connection.
    fn finish(self, outcome: Outcome) -> CallSlot {
        let Self {
            slot,
            lease,
            record,
            status,
            ending: _used_where_it_is_cut,
            bytes,
        } = self;
        if let Outcome::Completed = outcome {
            lease.give_back();
        }
        record.close(outcome, status, bytes);
        slot
    }
}

impl From<Bytes> for LaneBody {
    fn from(whole: Bytes) -> Self {
        Self {
            source: Source::Whole(Some(whole)),
            tap: Tap::None,
        }
    }
}

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(first, rest) => first.is_none() && rest.is_end_stream(),
            Self::Read(bytes, trailers, _hold) => bytes.is_none() && trailers.is_none(),
            Self::Parting(_) => true,
            Self::Whole(whole) => whole.is_none(),
        }
    }
}

impl Body for LaneBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Tap::Response(tap) = &this.tap
            && let Poll::Ready(cause) = tap.slot.guard().poll_pulled(context)
        {
            return Poll::Ready(this.cut(cause));
        }
        let polled = match &mut this.source {
            Source::Incoming(first @ Some(_), _) => {
                first.take().map(|first| Ok(Frame::data(first)))
            }
            Source::Incoming(None, body) => {
                let mut polled = Pin::new(&mut *body).poll_frame(context);
                if polled.is_pending()
                    && let Tap::Response(tap) = &mut this.tap
                    && tap.lease.drive(context) == Driven::Here
                {
                    polled = Pin::new(body).poll_frame(context);
                }
                ready!(polled)
            }
            Source::Parting(_) => return Poll::Ready(None),
            Source::Read(bytes, trailers, _hold) => match bytes.take() {
                Some(bytes) => Some(Ok(Frame::data(bytes))),
                None => trailers
                    .take()
                    .map(|trailers| Ok(Frame::trailers(trailers))),
            },
            Source::Whole(whole) => whole.take().map(|all| Ok(Frame::data(all))),
        };
        Poll::Ready(match polled {
            Some(Ok(mut frame)) => {
                this.passed(&mut frame);
                this.finish_at_end();
                Some(Ok(frame))
            }
            Some(Err(broken)) => match this.cut_lane() {
                Some(cause) => this.cut(cause),
                None => {
                    this.finish(Outcome::Failed);
                    Some(Err(BodyError::Broken(broken)))
                }
            },
            None => {
                this.finish(Outcome::Completed);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Parting(_) => SizeHint::with_exact(0),
            Source::Incoming(first, rest) => {
                let first = first.as_ref().map_or(0, Bytes::len);
                let first = u64::try_from(first).unwrap_or(u64::MAX);
                let mut hint = SizeHint::new();
                hint.set_lower(rest.size_hint().lower().saturating_add(first));
                if let Some(upper) = rest.size_hint().upper() {
                    hint.set_upper(upper.saturating_add(first));
                }
                hint
            }
            // With trailers behind it HTTP/1 has to chunk it.
            Source::Read(_, Some(_), _) => SizeHint::new(),
            Source::Read(whole, None, _) | Source::Whole(whole) => {
                let length = whole.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}

impl Drop for LaneBody {
    fn drop(&mut self) {
        if let Tap::Request(progress) = &self.tap {
            progress.ended.store(true, Ordering::Release);
        }
        // Only a response that nobody read to its end still has its tap.
        let cause = match &self.tap {
            Tap::Response(tap) => tap.slot.guard().cause(),
            Tap::None | Tap::Request(_) => None,
        };
        self.finish(cause.map_or(Outcome::Cancelled, Outcome::Cut));
    }
}

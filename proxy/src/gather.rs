//! The body of a call, read before the call is judged.
//!
//! Takes a request; gives its body whole if it may be a call's, and otherwise the body as it is, to pass frame by
//! frame. What a body is told by is the body itself: servers differ in which `Content-Type` they take for JSON, and
//! some ask for none. Bounded in length, in time, and in what all bodies together hold in memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::call::grpc::GrpcCall;
use crate::call::is_grpc_call;
use crate::deny::DenyReason;
use crate::limits::Limits;

/// What a request brings besides its head.
#[derive(Debug)]
pub(crate) enum CallBody {
    /// No call's: it passes as it comes, behind what was looked at.
    Passing(Option<Bytes>, Incoming),
    /// All of it.
    Whole(Whole),
}

/// A body that was read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) hold: Hold,
}

/// Memory that bodies may hold while they are read and sent on: over all connections, or those of one peer.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            taken: Arc::default(),
            bytes,
        }
    }
}

/// A body's share of the rooms it takes it from; given back on drop.
#[derive(Debug)]
pub(crate) struct Hold {
    rooms: [Room; 2],
    bytes: usize,
}

impl Hold {
    /// A share that is empty yet, of the room of all and of that of the peer.
    pub(crate) fn none(all: &Room, peer: &Room) -> Self {
        Self {
            rooms: [all.clone(), peer.clone()],
            bytes: 0,
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), DenyReason> {
        self.bytes = self.bytes.saturating_add(by);
        let mut is_full = false;
        for room in &self.rooms {
            let before = room.taken.fetch_add(by, Ordering::Relaxed);
            is_full |= before.saturating_add(by) > room.bytes;
        }
        match is_full {
            true => Err(DenyReason::ReadingBusy),
            false => Ok(()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for room in &self.rooms {
            room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What is done with a request's body.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It is there already: it has none, passes, or cannot be read.
    Ready(Result<CallBody, DenyReason>),
    /// It is read first.
    Read(Gather),
}

/// Where gRPC calls go that are no A2A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrpcTo {
    /// To a server that speaks nothing else, so that no body can be taken for another.
    ItsOwn,
    /// To one that may take the body for JSON, whatever the head calls it.
    TheSame,
}

/// What a head says of the body: only `POST` carries calls, in every binding of MCP and A2A.
pub(crate) fn plan(
    head: &Parts,
    body: Incoming,
    grpc: GrpcTo,
    hold: Hold,
    limits: &Limits,
) -> Plan {
    if head.method != Method::POST {
        // Methods are told apart by case (RFC 9110 §9.1), but not by every server.
        let has_small_letters = head
            .method
            .as_str()
            .bytes()
            .any(|byte| byte.is_ascii_lowercase());
        return Plan::Ready(match has_small_letters {
            true => Err(DenyReason::MalformedRequest),
            false => Ok(CallBody::Passing(None, body)),
        });
    }
    let look = match (is_grpc_call(head), grpc) {
        // A path that may be A2A's is read too, to be refused.
        (true, _) if !matches!(GrpcCall::method(head.uri.path()), Ok(None)) => Look::Call,
        (true, GrpcTo::ItsOwn) => return Plan::Ready(Ok(CallBody::Passing(None, body))),
        (true, GrpcTo::TheSame) | (false, _) => match Text::of(head) {
            Err(reason) => return Plan::Ready(Err(reason)),
            Ok(Text::Json) => Look::Call,
            Ok(Text::Unsaid) => Look::Undecided,
        },
    };
    if body.is_end_stream() {
        return Plan::Ready(Ok(CallBody::Whole(Whole {
            bytes: Bytes::new(),
            trailers: None,
            hold,
        })));
    }
    Plan::Read(Gather {
        body: Some(body),
        so_far: SoFar::Nothing,
        trailers: None,
        look,
        hold: Some(hold),
        call_bytes: limits.call_bytes,
        time: limits.call_body,
        deadline: None,
    })
}

/// What a head says of how a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// As JSON.
    Json,
    /// As something else, or it does not say; servers differ in whether they care.
    Unsaid,
}

impl Text {
    /// Reads `Content-Type` and `Content-Encoding`. No coding may lie between the bytes and what is read in them: some
    /// servers undo any (RFC 9110 §8.4), and decode any charset, UTF-7 among them, in which ASCII can be written so
    /// that it shows only then. JSON is UTF-8 (RFC 8259 §8.1).
    fn of(head: &Parts) -> Result<Self, DenyReason> {
        let is_identity = |coding: &HeaderValue| {
            coding
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"identity")
        };
        let mut kinds = head.headers.get_all(CONTENT_TYPE).iter();
        let kind = kinds
            .next()
            .map(|kind| kind.as_bytes().to_ascii_lowercase());
        let kind = String::from_utf8_lossy(kind.as_deref().unwrap_or_default());
        if kinds.next().is_some() {
            return Err(DenyReason::MalformedRequest);
        }
        let mut charsets = kind.split("charset").skip(1).map(|value| {
            let value = value
                .trim_start()
                .trim_start_matches(['=', '*'])
                .trim_start();
            value.trim_start_matches('"')
        });
        if !head
            .headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .all(is_identity)
            || !charsets.all(|charset| charset.starts_with("utf-8") || charset.starts_with("utf8"))
        {
            return Err(DenyReason::ContentEncoding);
        }
        Ok(match kind.contains("json") {
            true => Self::Json,
            false => Self::Unsaid,
        })
    }
}

/// Blanks at the beginning after which a body is read as a call's, so that nobody looks at them again and again.
const MAX_BLANKS: usize = 1024;

/// What the beginning of a body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A call, or what some server may take for one.
    Call,
    /// No call.
    Other,
    /// Nothing but blanks so far.
    Undecided,
}

impl Look {
    /// JSON texts of calls are objects and arrays. Servers that decode UTF-16 and UTF-32, as Python's `json` does,
    /// see one behind a byte order mark and between zeros.
    fn at(beginning: &[u8]) -> Self {
        let marks: [&[u8]; 3] = [&[0xef, 0xbb, 0xbf], &[0xfe, 0xff], &[0xff, 0xfe]];
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
        let text = beginning
            .iter()
            .position(|byte| !blank(&byte))
            .and_then(|first| beginning.get(first..))
            .unwrap_or_default();
        let begins_like_a_mark = |mark: &&[u8]| {
            let shown = text.len().min(mark.len());
            text.get(..shown) == mark.get(..shown)
        };
        match text.first() {
            None if beginning.len() > MAX_BLANKS => Self::Call,
            None => Self::Undecided,
            Some(b'{' | b'[') => Self::Call,
            Some(_) => match marks.iter().find(|mark| begins_like_a_mark(mark)) {
                None => Self::Other,
                Some(mark) if text.len() < mark.len() => Self::Undecided,
                Some(_) => Self::Call,
            },
        }
    }
}

/// A body on its way into memory. Cancel safe: dropped, the body is not read further.
#[derive(Debug)]
pub(crate) struct Gather {
    body: Option<Incoming>,
    so_far: SoFar,
    trailers: Option<HeaderMap>,
    look: Look,
    hold: Option<Hold>,
    call_bytes: usize,
    time: std::time::Duration,
    /// Set when the body makes us wait.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Bytes gathered: most bodies come in one piece, which is not copied.
#[derive(Debug)]
enum SoFar {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl SoFar {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::One(bytes) => bytes,
            Self::Several(bytes) => bytes,
        }
    }

    fn add(&mut self, more: Bytes) {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => *self = Self::One(more),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity((first.len() + more.len()) * 2);
                all.extend_from_slice(&first);
                all.extend_from_slice(&more);
                *self = Self::Several(all);
            }
            Self::Several(mut all) => {
                all.extend_from_slice(&more);
                *self = Self::Several(all);
            }
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Several(bytes) => bytes.freeze(),
        }
    }
}

impl Future for Gather {
    /// The body, or why it cannot be read.
    type Output = Result<CallBody, DenyReason>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let Some(body) = this.body.as_mut() else {
                // Ready once already.
                return Poll::Pending;
            };
            let frame = match Pin::new(body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return this.poll_late(context),
            };
            let read = match frame {
                None => return Poll::Ready(this.end()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.take_in(data),
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        Ok(())
                    }
                },
                Some(Err(_broken)) => Err(DenyReason::MalformedRequest),
            };
            if let Err(reason) = read {
                this.body = None;
                return Poll::Ready(Err(reason));
            }
            if this.look == Look::Other
                && let Some(body) = this.body.take()
            {
                return Poll::Ready(Ok(CallBody::Passing(Some(this.so_far.take()), body)));
            }
        }
    }
}

impl Gather {
    fn take_in(&mut self, data: Bytes) -> Result<(), DenyReason> {
        let length = self.so_far.bytes().len().saturating_add(data.len());
        if let Some(hold) = &mut self.hold {
            hold.grow(data.len())?;
        }
        self.so_far.add(data);
        if self.look == Look::Undecided {
            self.look = Look::at(self.so_far.bytes());
        }
        match self.look {
            Look::Other => Ok(()),
            Look::Call | Look::Undecided if length > self.call_bytes => {
                Err(DenyReason::CallTooLarge)
            }
            Look::Call | Look::Undecided => Ok(()),
        }
    }

    fn end(&mut self) -> Result<CallBody, DenyReason> {
        self.body = None;
        let hold = self.hold.take().ok_or(DenyReason::MalformedRequest)?;
        Ok(CallBody::Whole(Whole {
            bytes: self.so_far.take(),
            trailers: self.trailers.take(),
            hold,
        }))
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Result<CallBody, DenyReason>> {
        let time = self.time;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(deadline.as_mut().poll(context));
        self.body = None;
        Poll::Ready(Err(DenyReason::CallTimeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_told_by_its_beginning() {
        for call in [
            &b"{\"a\":1}"[..],
            b" \r\n\t[",
            b"\xef\xbb\xbf{",
            b"{\0\"\0",
            b"\0\0\0{",
            b"\0 \0[",
            b"\xff\xfe{\0",
            b"\xfe\xff\0{",
            b"\0\0\xfe\xff",
        ] {
            assert_eq!(Look::at(call), Look::Call, "{call:?}");
        }
        for other in [
            &b"grant_type=client_credentials"[..],
            b"--boundary",
            b"\xff\xd8\xff\xe0",
            b"\0\0\0\x20ftyp",
            b"\"text\"",
            b"12",
        ] {
            assert_eq!(Look::at(other), Look::Other, "{other:?}");
        }
        for undecided in [&b""[..], b"  ", b"\0\0", b"\xff", b"\xef\xbb"] {
            assert_eq!(Look::at(undecided), Look::Undecided, "{undecided:?}");
        }
    }

    #[test]
    fn what_bodies_hold_is_bounded_and_given_back() {
        let (all, one_peer, other_peer) = (Room::new(10), Room::new(8), Room::new(8));
        let mut one = Hold::none(&all, &one_peer);
        assert_eq!(one.grow(6), Ok(()));
        let mut two = Hold::none(&all, &one_peer);
        assert_eq!(two.grow(3), Err(DenyReason::ReadingBusy));
        drop(two);
        let mut three = Hold::none(&all, &other_peer);
        assert_eq!(three.grow(4), Ok(()));
        assert_eq!(three.grow(1), Err(DenyReason::ReadingBusy));
        drop((one, three));
        assert_eq!(all.taken.load(Ordering::Relaxed), 0);
        assert_eq!(one_peer.taken.load(Ordering::Relaxed), 0);
    }

    fn text(content_type: &[&str]) -> Result<Text, DenyReason> {
        let mut request = http::Request::post("/");
        for kind in content_type {
            request = request.header("content-type", *kind);
        }
        Text::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn json_is_told_by_its_type_too_and_comes_in_utf_8() {
        for json in [
            "application/json",
            "Application/A2A+JSON; charset=UTF-8",
            "text/json",
        ] {
            assert_eq!(text(&[json]), Ok(Text::Json), "{json}");
        }
        assert_eq!(text(&["text/plain; charset=\"utf-8\""]), Ok(Text::Unsaid));
        assert_eq!(text(&[]), Ok(Text::Unsaid));
        for other in [
            "application/json; charset=utf-7",
            "application/json;charset=utf-8;charset=utf-7",
            "application/json; charset*=utf-16",
            "application/json; charset",
            "text/plain; CHARSET = \"utf-16\"",
        ] {
            assert_eq!(text(&[other]), Err(DenyReason::ContentEncoding), "{other}");
        }
        let twice = text(&["application/json", "text/plain"]);
        assert_eq!(twice, Err(DenyReason::MalformedRequest));
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let mut so_far = SoFar::Nothing;
        for piece in ["a", "bc", "d"] {
            so_far.add(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(so_far.take(), "abcd");
    }
}

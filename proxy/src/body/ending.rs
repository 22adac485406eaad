//! How a response can end before its end, so that its reader knows.
//!
//! Takes a response's head and the bytes that pass; gives the last words that may follow them. It never puts
//! anything inside what is half written: where no word can be said, the body breaks off.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http_body::Frame;
use serde_json::json;

use crate::guard::PullCause;

/// JSON-RPC's first code for errors of a server's own (JSON-RPC 2.0 §5.1), which neither MCP nor A2A gives another
/// meaning.
const SERVER_ERROR: i32 = -32_000;

/// How a response can end early so that its reader knows.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Only by breaking off.
    Breaks,
    /// `text/event-stream` ends between events (WHATWG HTML §9.2).
    EventStream(EventStream),
    /// A gRPC call ends with a status in its trailers.
    Grpc,
}

/// What is said at the end of a body that is cut.
#[derive(Debug)]
pub(super) enum LastWords {
    /// Nothing can be said: the body breaks off.
    BreakOff,
    /// A last frame, after which the body ends properly.
    Say(Frame<Bytes>),
}

impl Ending {
    /// How a response with this head can end. `call_id` is the JSON text of the id of the JSON-RPC request that it
    /// answers, where there is one.
    pub(crate) fn of(head: &http::response::Parts, call_id: Option<Bytes>) -> Self {
        let content_type = head.headers.get(CONTENT_TYPE);
        let essence = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        match essence.trim() {
            "text/event-stream" if is_open_ended(&head.headers) => Self::EventStream(EventStream {
                at: Position::BetweenEvents,
                call_id,
            }),
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            _ => Self::Breaks,
        }
    }

    /// Takes note of bytes that pass.
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        match self {
            Self::EventStream(stream) => stream.at = stream.at.after(bytes),
            Self::Breaks | Self::Grpc => {}
        }
    }

    /// The last words of a body that is cut for this cause.
    pub(super) fn last_words(&self, cause: PullCause) -> LastWords {
        match cause {
            // The client is to ask again elsewhere, and must not take this for the answer's end.
            PullCause::DrainDeadline => return LastWords::BreakOff,
            PullCause::NoLongerAllowed | PullCause::SvidExpired => {}
        }
        match self {
            Self::Breaks => LastWords::BreakOff,
            Self::EventStream(stream) => stream.last_event(cause),
            Self::Grpc => LastWords::Say(Frame::trailers(unauthenticated(cause))),
        }
    }
}

/// Whether text may follow what the server sends: it is neither counted nor encoded.
fn is_open_ended(fields: &HeaderMap) -> bool {
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    !fields.contains_key(CONTENT_LENGTH) && fields.get_all(CONTENT_ENCODING).iter().all(is_identity)
}

/// gRPC status 16, UNAUTHENTICATED.
fn unauthenticated(cause: PullCause) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from_static("16"));
    trailers.insert("grpc-message", HeaderValue::from_static(cause.code()));
    trailers
}

/// An event stream, as far as it has come.
#[derive(Debug)]
pub(crate) struct EventStream {
    at: Position,
    call_id: Option<Bytes>,
}

/// Where in an event stream the last byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the beginning of a line, with no event begun.
    BetweenEvents,
    /// The same after a carriage return, whose line feed may follow.
    BetweenEventsAfterCr,
    /// In a comment between two events.
    Comment,
    /// In a line of an event.
    Line,
    /// At the beginning of a line, with an event begun.
    NextLine,
    /// The same after a carriage return, whose line feed may follow.
    NextLineAfterCr,
}

impl Position {
    fn after(self, bytes: &[u8]) -> Self {
        // Nearly every write ends an event, and then it does not matter what was before.
        let ends_event = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"]
            .iter()
            .any(|end| bytes.ends_with(end));
        match ends_event {
            true => Self::BetweenEvents,
            false => bytes.iter().fold(self, |at, byte| at.next(*byte)),
        }
    }

    /// The grammar of WHATWG HTML §9.2.5: a line ends with CR LF, LF or CR, and an empty one ends an event.
    fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::BetweenEventsAfterCr, b'\n') => Self::BetweenEvents,
            (Self::NextLineAfterCr, b'\n') => Self::NextLine,
            (Self::Line, b'\n') => Self::NextLine,
            (Self::Line, b'\r') => Self::NextLineAfterCr,
            (Self::Line, _) => Self::Line,
            (Self::BetweenEvents | Self::BetweenEventsAfterCr | Self::Comment, b'\r')
            | (Self::NextLine | Self::NextLineAfterCr, b'\r') => Self::BetweenEventsAfterCr,
            (Self::BetweenEvents | Self::Comment | Self::NextLine, b'\n') => Self::BetweenEvents,
            (Self::Comment, _) => Self::Comment,
            (Self::BetweenEvents | Self::BetweenEventsAfterCr, b':') => Self::Comment,
            (
                Self::BetweenEvents
                | Self::BetweenEventsAfterCr
                | Self::NextLine
                | Self::NextLineAfterCr,
                _,
            ) => Self::Line,
        }
    }
}

impl EventStream {
    /// What can follow the bytes that have passed. After a whole event that is one more; a comment is ended first. In
    /// the middle of an event nothing can be said: an empty line would have half of it believed, and a line would
    /// become part of it.
    fn last_event(&self, cause: PullCause) -> LastWords {
        let before = match self.at {
            Position::BetweenEvents | Position::BetweenEventsAfterCr => "",
            Position::Comment => "\n",
            Position::Line | Position::NextLine | Position::NextLineAfterCr => {
                return LastWords::BreakOff;
            }
        };
        let code = cause.code();
        let id = self.call_id.as_deref();
        let words = match id.and_then(|id| str::from_utf8(id).ok()) {
            Some(id) => {
                let error = json!({
                    "code": SERVER_ERROR,
                    "message": cause.message(),
                    "data": { "reason": code },
                });
                // MCP (2025-11-25 and 2026-07-28, "Streamable HTTP") and A2A 1.0 ("JSON-RPC binding"): the stream of
                // a request ends with its response, and an error is one.
                format!(
                    "{before}event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n\n"
                )
            }
            // No response may be sent that answers no request, and every reader passes a comment over.
            None => format!("{before}: {code}\n\n"),
        };
        LastWords::Say(Frame::data(words.into()))
    }
}

/// The last event of a stream that is cut after these writes; for whoever checks the reader.
pub(crate) fn last_event(writes: &[&[u8]], call_id: Option<&str>) -> Option<Vec<u8>> {
    let mut stream = EventStream {
        at: Position::BetweenEvents,
        call_id: call_id.map(|id| Bytes::copy_from_slice(id.as_bytes())),
    };
    for write in writes {
        stream.at = stream.at.after(write);
    }
    match stream.last_event(PullCause::NoLongerAllowed) {
        LastWords::BreakOff => None,
        LastWords::Say(frame) => frame.into_data().ok().map(|words| words.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn ending(fields: &[(&str, &str)], call_id: Option<&str>) -> Ending {
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        Ending::of(
            &head,
            call_id.map(|id| Bytes::copy_from_slice(id.as_bytes())),
        )
    }

    const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream; charset=utf-8")];

    /// What is said after these bytes, if anything is.
    fn said(parts: &[&str], call_id: Option<&str>) -> Option<String> {
        let mut ending = ending(EVENTS, call_id);
        for part in parts {
            ending.passed(part.as_bytes());
        }
        match ending.last_words(PullCause::NoLongerAllowed) {
            LastWords::BreakOff => None,
            LastWords::Say(frame) => {
                let words = frame.into_data().unwrap().to_vec();
                Some(String::from_utf8(words).unwrap())
            }
        }
    }

    #[test]
    fn a_request_whose_id_is_known_is_answered_with_an_error() {
        for id in ["7", "\"a\\\"b\""] {
            let words = said(&["data: {}\n\n"], Some(id)).unwrap();
            let data = words.strip_prefix("event: message\ndata: ").unwrap();
            let answer: serde_json::Value = serde_json::from_str(data).unwrap();
            assert!(words.ends_with("}\n\n"), "{words}");
            assert_eq!(answer["jsonrpc"], "2.0");
            assert_eq!(answer["id"].to_string(), id);
            assert_eq!(answer["error"]["code"], -32_000);
            assert_eq!(answer["error"]["data"]["reason"], "no-longer-allowed");
        }
    }

    #[test]
    fn without_an_id_a_comment_says_why() {
        assert_eq!(said(&[], None).unwrap(), ": no-longer-allowed\n\n");
    }

    #[test]
    fn nothing_is_put_into_an_event_that_is_half_written() {
        for half in [
            "d",
            "data: x",
            "data: x\n",
            "data: x\r\n",
            "data: x\r",
            ": c\ndata",
            "\u{feff}",
        ] {
            assert_eq!(
                said(&["data: whole\n\n", half], Some("1")),
                None,
                "{half:?}"
            );
        }
        for whole in [
            "",
            "\n",
            "data: x\n\n",
            "data: x\r\n\r\n",
            "data: x\r\r",
            "\r",
            ": c\n",
            ": c\r",
        ] {
            let words = said(&[whole], None).unwrap();
            assert_eq!(words, ": no-longer-allowed\n\n", "{whole:?}");
        }
        assert_eq!(said(&[": pi"], None).unwrap(), "\n: no-longer-allowed\n\n");
        // The line feed of a CR LF that is cut in two is no empty line.
        assert_eq!(said(&["data: x\r", "\n"], None), None);
        assert!(said(&["data: x\r\n", "\r", "\n"], None).is_some());
    }

    #[test]
    fn a_body_that_is_counted_or_encoded_breaks_off() {
        for field in [("content-length", "100"), ("content-encoding", "gzip")] {
            let ending = ending(&[EVENTS[0], field], None);
            assert!(matches!(ending, Ending::Breaks), "{field:?}");
        }
        let plain = ending(&[EVENTS[0], ("content-encoding", "identity")], None);
        assert!(matches!(plain, Ending::EventStream(_)));
    }

    #[test]
    fn a_drain_breaks_off_whatever_can_be_said() {
        let events = ending(EVENTS, Some("1"));
        let words = events.last_words(PullCause::DrainDeadline);
        assert!(matches!(words, LastWords::BreakOff));
    }

    /// The lines of a stream so far, the last of which may go on.
    fn lines(stream: &str) -> Vec<String> {
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        stream.split('\n').map(str::to_owned).collect()
    }

    /// What a reader that keeps to WHATWG HTML §9.2.6 makes of a stream: the data of each event, and whether another
    /// has begun.
    fn read(stream: &str) -> (Vec<String>, bool) {
        let mut lines = lines(stream);
        let unfinished = lines.pop().unwrap();
        let (mut events, mut data, mut begun) = (Vec::new(), Vec::new(), false);
        for line in lines {
            if line.is_empty() {
                begun = false;
                if !data.is_empty() {
                    events.push(std::mem::take(&mut data).join("\n"));
                }
            } else if let Some(text) = line.strip_prefix("data:") {
                begun = true;
                data.push(text.trim_start_matches(' ').to_owned());
            } else if !line.starts_with(':') {
                begun = true;
            }
        }
        let goes_on = !unfinished.is_empty() && !unfinished.starts_with(':');
        (events, begun || goes_on)
    }

    /// Every stream of up to five of these pieces, each in a write of its own.
    #[test]
    fn last_words_are_an_event_of_their_own_or_are_not_said() {
        const PIECES: [&str; 7] = ["\n", "\r", "\r\n", ":", "data: a", "event: b", "\n\n"];
        let mut streams = vec![Vec::new()];
        let mut seen = 0;
        while let Some(pieces) = streams.pop() {
            if pieces.len() < 5 {
                streams.extend(PIECES.iter().map(|piece| [&pieces[..], &[*piece]].concat()));
            }
            let before = pieces.concat();
            let (events, begun) = read(&before);
            let words = said(&pieces, Some("1"));
            assert_eq!(
                words,
                said(&[&before], Some("1")),
                "{before:?} in one write"
            );
            assert_eq!(words.is_none(), begun, "{before:?}");
            if let Some(words) = words {
                let (after, begun) = read(&(before.clone() + &words));
                let (last, others) = after.split_last().unwrap();
                assert_eq!((others, begun), (&events[..], false), "{before:?}");
                assert!(last.starts_with("{\"jsonrpc\""), "{before:?}: {last}");
            }
            seen += 1;
        }
        assert_eq!(seen, (7_usize.pow(6) - 1) / 6);
    }
}

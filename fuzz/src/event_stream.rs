//! Where in an event stream something can be said.
//!
//! Input: two bytes that say where the stream is cut into three writes, and the stream.

use pqlane::hostile::last_event;

use crate::Verdict;

/// Follows a stream; where last words are said, a reader sees every event that it saw without them, and one more.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let (cuts, stream) = bytes.split_at(bytes.len().min(2));
    let cut = |index: usize| {
        cuts.get(index)
            .map_or(0, |at| usize::from(*at))
            .min(stream.len())
    };
    let (first, second) = (cut(0).min(cut(1)), cut(0).max(cut(1)));
    let writes = [&stream[..first], &stream[first..second], &stream[second..]];
    let words = last_event(&writes, Some("7"));
    assert_eq!(words, last_event(&[stream], Some("7")), "however it is cut");
    let (events, begun) = read(stream);
    assert_eq!(words.is_none(), begun, "half an event is not made whole");
    let verdict = Verdict::of(&words.as_ref().ok_or(()));
    if let Some(words) = words {
        let (after, begun) = read(&[stream, &words].concat());
        assert!(!begun);
        assert_eq!(after.len(), events.len() + 1);
        assert_eq!(after[..events.len()], events);
        assert!(after[events.len()].starts_with(b"{\"jsonrpc\":\"2.0\",\"id\":7,"));
    }
    let comment = last_event(&[stream], None);
    if let Some(comment) = comment {
        assert_eq!(read(&[stream, &comment].concat()), (events, false));
    }
    verdict
}

/// What a reader makes of a stream by WHATWG HTML §9.2.6: the data of each event, and whether another has begun.
fn read(stream: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut events, mut data, mut begun) = (Vec::new(), None::<Vec<u8>>, false);
    let mut rest = stream;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let line = &rest[..end];
        let ending = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + ending..];
        if line.is_empty() {
            events.extend(data.take());
            begun = false;
        } else if !line.starts_with(b":") {
            begun = true;
            if let Some(text) = line.strip_prefix(b"data:") {
                let text = text.strip_prefix(b" ").unwrap_or(text);
                let data = data.get_or_insert_default();
                data.extend_from_slice(text);
                data.push(b'\n');
            }
        }
    }
    (
        events,
        begun || !(rest.is_empty() || rest.starts_with(b":")),
    )
}

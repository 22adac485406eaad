//! What a path asks of A2A, read as many different programs would.
//!
//! Sources: A2A 1.0 §11.3, A2A 0.3.0 §3.5.6, and the routes of the SDKs.

use std::collections::BTreeSet;

/// One reading of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) operation: &'static str,
    pub(super) task: String,
    pub(super) push_config: String,
}

/// Everything that a program may do with a path before it looks for a route, or not do.
#[derive(Debug, Clone, Copy)]
struct Program {
    decodings: usize,
    decodes_last: bool,
    cuts_parameters: bool,
    merges_slashes: bool,
    resolves_dots: bool,
    takes_backslash: bool,
}

/// All readings of all programs.
pub(super) fn readings(method: &str, path: &str) -> BTreeSet<Asked> {
    let mut all = BTreeSet::new();
    for decodings in 0..=3 {
        for switches in 0..32_u8 {
            let on = |bit: u8| switches & 1 << bit != 0;
            let program = Program {
                decodings,
                decodes_last: on(0),
                cuts_parameters: on(1),
                merges_slashes: on(2),
                resolves_dots: on(3),
                takes_backslash: on(4),
            };
            let segments = program.segments(path);
            let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
            for mut asked in asked(method, &segments) {
                // Who does not decode the path decodes the id that is taken from it.
                if decodings == 0 {
                    asked.task = text(&decode(asked.task.as_bytes()));
                    asked.push_config = text(&decode(asked.push_config.as_bytes()));
                }
                all.insert(asked);
            }
        }
    }
    all
}

impl Program {
    fn segments(self, path: &str) -> Vec<String> {
        let mut bytes = path.as_bytes().to_vec();
        if !self.decodes_last {
            bytes = self.decoded(bytes);
        }
        if self.takes_backslash {
            for byte in &mut bytes {
                if *byte == b'\\' {
                    *byte = b'/';
                }
            }
        }
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for segment in bytes.split(|byte| *byte == b'/').skip(1) {
            let segment = match self.cuts_parameters {
                true => segment.split(|byte| *byte == b';').next(),
                false => Some(segment),
            };
            match segment.unwrap_or_default() {
                b"" if self.merges_slashes => {}
                b"." if self.resolves_dots => {}
                b".." if self.resolves_dots => {
                    kept.pop();
                }
                other => kept.push(other.to_vec()),
            }
        }
        if self.decodes_last {
            kept = kept.into_iter().map(|one| self.decoded(one)).collect();
        }
        kept.iter().map(|segment| text(segment)).collect()
    }

    fn decoded(self, bytes: Vec<u8>) -> Vec<u8> {
        (0..self.decodings).fold(bytes, |bytes, _| decode(&bytes))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// RFC 3986 §2.1: `%` and two hexadecimal digits are one byte. Anything else stands for itself.
pub(super) fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let encoded = match bytes.get(at..at + 3) {
            Some(&[b'%', high, low]) => digit(high).zip(digit(low)),
            _ => None,
        };
        match encoded.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(meant) => {
                decoded.push(meant);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Every operation whose route ends as these segments do: below any base path, in any case, with or without a
/// slash at the end. An id may be anything that is no id by our own rules, too.
fn asked(method: &str, segments: &[&str]) -> Vec<Asked> {
    let mut found = Vec::new();
    let segments = match segments {
        [before @ .., ""] => before,
        all => all,
    };
    let folded: Vec<String> = segments
        .iter()
        .map(|one| one.to_ascii_lowercase())
        .collect();
    let folded: Vec<&str> = folded.iter().map(String::as_str).collect();
    // HEAD is answered as GET is.
    let (gets, posts) = (matches!(method, "GET" | "HEAD"), method == "POST");
    let mut add = |applies: bool, operation: &'static str, task: &str, push_config: &str| {
        if applies {
            found.push(Asked {
                operation,
                task: task.to_owned(),
                push_config: push_config.to_owned(),
            });
        }
    };
    match *folded.as_slice() {
        [.., "message:send"] | [.., "message", "send"] => add(posts, "SendMessage", "", ""),
        [.., "message:stream"] | [.., "message", "stream"] => {
            add(posts, "SendStreamingMessage", "", "");
        }
        [.., "extendedagentcard"] | [.., "v1", "card"] | [.., "agent-card", "extended"] => {
            add(gets, "GetExtendedAgentCard", "", "");
        }
        [.., "tasks"] => add(gets, "ListTasks", "", ""),
        _ => {}
    }
    if let ([.., "tasks", _], [.., last]) = (folded.as_slice(), segments) {
        let verb = last.rsplit_once(':').unwrap_or((last, ""));
        match (verb.0, verb.1.to_ascii_lowercase().as_str()) {
            (task, "cancel") => add(posts, "CancelTask", task, ""),
            (task, "subscribe") => add(gets || posts, "SubscribeToTask", task, ""),
            _ => add(gets, "GetTask", last, ""),
        }
    }
    if let ([.., "tasks", _, word], [.., task, _]) = (folded.as_slice(), segments) {
        match *word {
            "cancel" => add(posts, "CancelTask", task, ""),
            "subscribe" => add(gets || posts, "SubscribeToTask", task, ""),
            "pushnotificationconfigs" | "push-configs" => {
                add(gets, "ListTaskPushNotificationConfigs", task, "");
                add(posts, "CreateTaskPushNotificationConfig", task, "");
            }
            _ => {}
        }
    }
    if let (
        [
            ..,
            "tasks",
            _,
            "pushnotificationconfigs" | "push-configs",
            _,
        ],
        [.., task, _, config],
    ) = (folded.as_slice(), segments)
    {
        let deletes = method == "DELETE";
        add(gets, "GetTaskPushNotificationConfig", task, config);
        add(deletes, "DeleteTaskPushNotificationConfig", task, config);
    }
    found
}

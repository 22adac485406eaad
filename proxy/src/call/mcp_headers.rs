//! The headers in which MCP repeats parts of a message (2026-07-28, basic/transports/streamable-http.mdx).
//!
//! Takes a request's headers and the message in its body; tells whether everyone who reads only the headers
//! takes the call for the same as whoever reads the body. Never changes either.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue};

use super::fault::CallFault;
use super::json::{Kind, Scanner, Token, spells_alike};
use super::rpc::{Message, Rpc};

const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";
const PARAM: &str = "Mcp-Param-*";
/// [`PARAM`] as header maps spell it.
const PARAM_PREFIX: &str = "mcp-param-";
/// `Mcp-Param` headers that are compared.
const MAX_PARAM_HEADERS: usize = 32;

/// Revisions whose servers ignore the headers.
const BODY_ONLY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The one with batches; also what a request without the header may be.
const WITH_BATCHES: &str = "2025-03-26";

/// Methods whose target `Mcp-Name` repeats.
const NAMED: [&str; 6] = [
    "prompts/get",
    "resources/read",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
    "tools/call",
];

/// What a request's headers say of its revision, once they were compared with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision<'a> {
    /// One whose servers go by the body alone; as the header names it.
    BodyOnly(Option<&'a str>),
    /// One whose headers say what the body says, and were found to.
    Mirrored(&'a str),
}

/// Compares a request's headers with its message.
///
/// # Errors
/// [`CallFault::HeaderMismatch`] and [`CallFault::HeaderRepeated`] when they differ,
/// [`CallFault::BatchNotAllowed`] for a batch in a revision without.
pub fn check<'h>(headers: &'h HeaderMap, message: &Message<'_>) -> Result<Revision<'h>, CallFault> {
    let revision = match one(headers, PROTOCOL_VERSION)? {
        Some(revision) if !BODY_ONLY.contains(&revision) => Revision::Mirrored(revision),
        other => Revision::BodyOnly(other),
    };
    match (message, revision) {
        (Message::Batch(_), Revision::BodyOnly(None | Some(WITH_BATCHES)))
        | (Message::One(_) | Message::Other, _) => {}
        (Message::Batch(_), _) => return Err(CallFault::BatchNotAllowed),
    }
    match revision {
        Revision::BodyOnly(_) => {
            for rpc in message.messages() {
                check_meta(rpc, |declared| BODY_ONLY.contains(&declared))?;
            }
        }
        Revision::Mirrored(revision) => match message {
            Message::One(rpc) => {
                check_meta(rpc, |declared| declared == revision)?;
                check_mirrors(headers, rpc)?;
            }
            // Nothing is called, so no header may say that something is.
            Message::Batch(_) | Message::Other => {
                if headers.contains_key(METHOD) {
                    return Err(CallFault::HeaderMismatch(METHOD));
                }
            }
        },
    }
    Ok(revision)
}

/// What a request declares in `_meta` must fit. One that declares nothing is the server's to refuse, in its own
/// words.
fn check_meta(rpc: &Rpc<'_>, fits: impl Fn(&str) -> bool) -> Result<(), CallFault> {
    const MISMATCH: CallFault = CallFault::HeaderMismatch(PROTOCOL_VERSION);
    let declared = rpc
        .params
        .meta
        .object()?
        .and_then(|meta| meta.protocol_version);
    match declared {
        None => Ok(()),
        Some(declared) => match declared.string() {
            Ok(declared) if fits(&declared) => Ok(()),
            _ => Err(MISMATCH),
        },
    }
}

fn check_mirrors(headers: &HeaderMap, rpc: &Rpc<'_>) -> Result<(), CallFault> {
    let method = single(headers, METHOD)?;
    if method != rpc.method.as_deref() {
        return Err(CallFault::HeaderMismatch(METHOD));
    }
    if method.is_some_and(|method| NAMED.contains(&method)) {
        const MISMATCH: CallFault = CallFault::HeaderMismatch(NAME);
        let name = match single(headers, NAME)? {
            None => None,
            Some(value) => Some(decoded(value).ok_or(MISMATCH)?),
        };
        if name != rpc.mcp_target()? {
            return Err(MISMATCH);
        }
    }
    check_params(headers, rpc)
}

/// An `Mcp-Param` header, and what was found of it among the arguments.
struct ParamHeader<'h> {
    suffix: &'h str,
    value: Cow<'h, str>,
    /// Whether any argument has this value.
    occurs: bool,
    namesake: Namesake,
}

/// The argument with a header's name.
#[derive(Clone, Copy)]
enum Namesake {
    Absent,
    Differs,
    Equal,
}

/// Which argument a header repeats stands in the tool's schema, which is not known here. Usually it has the
/// header's name; if none has, the value must at least occur.
fn check_params(headers: &HeaderMap, rpc: &Rpc<'_>) -> Result<(), CallFault> {
    const MISMATCH: CallFault = CallFault::HeaderMismatch(PARAM);
    let mut params: Vec<ParamHeader<'_>> = Vec::new();
    for (name, value) in headers {
        let Some(suffix) = name.as_str().strip_prefix(PARAM_PREFIX) else {
            continue;
        };
        if params.iter().any(|param| param.suffix == suffix) {
            return Err(CallFault::HeaderRepeated(PARAM));
        }
        if params.len() == MAX_PARAM_HEADERS {
            return Err(CallFault::TooManyParamHeaders);
        }
        let value = text(value).and_then(decoded).ok_or(MISMATCH)?;
        params.push(ParamHeader {
            suffix,
            value,
            occurs: false,
            namesake: Namesake::Absent,
        });
    }
    if params.is_empty() {
        return Ok(());
    }
    params.sort_unstable_by(|one, other| one.value.cmp(&other.value));
    if let Some(arguments) = rpc.params.arguments.object()? {
        find(&mut params, *arguments)?;
    }
    let is_repeated = |param: &ParamHeader<'_>| match param.namesake {
        Namesake::Absent => param.occurs,
        Namesake::Differs => false,
        Namesake::Equal => true,
    };
    match params.iter().all(is_repeated) {
        true => Ok(()),
        false => Err(MISMATCH),
    }
}

/// Looks for headers, which are sorted by value, among the arguments.
fn find(params: &mut [ParamHeader<'_>], arguments: Token<'_>) -> Result<(), CallFault> {
    Scanner::again(arguments).object(&[], |scanner, name| {
        let is_leaf = !matches!(scanner.peek(), Some(b'{' | b'['));
        let argument = scanner.leaves(|leaf| occur(params, leaf))?;
        let is_namesake =
            |param: &&mut ParamHeader<'_>| is_leaf && spells_alike(name, param.suffix);
        if let Some(param) = params.iter_mut().find(is_namesake) {
            param.meet_namesake(argument);
        }
        Ok(())
    })
}

/// Marks the headers whose value an argument has.
fn occur(params: &mut [ParamHeader<'_>], leaf: Token<'_>) {
    let Some(text) = text_of(leaf) else {
        return;
    };
    let first = params.partition_point(|param| *param.value < *text);
    for param in params.iter_mut().skip(first) {
        // Those of one value are marked together.
        if param.occurs || param.value != text {
            break;
        }
        param.occurs = true;
    }
}

impl ParamHeader<'_> {
    fn meet_namesake(&mut self, leaf: Token<'_>) {
        let is_equal = text_of(leaf).is_some_and(|text| text == self.value);
        self.namesake = match (self.namesake, is_equal) {
            (Namesake::Absent | Namesake::Equal, true) => Namesake::Equal,
            (Namesake::Differs, _) | (_, false) => Namesake::Differs,
        };
    }
}

/// An argument as a header writes it.
fn text_of(leaf: Token<'_>) -> Option<Cow<'_, str>> {
    match leaf.kind() {
        Kind::Boolean | Kind::Number => Some(Cow::Borrowed(leaf.as_str())),
        Kind::String => leaf.string().ok(),
        Kind::Array | Kind::Null | Kind::Object => None,
    }
}

/// A header that may occur once: repeated, it says something else than the body to somebody.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, CallFault> {
    one(headers, name).or(Err(CallFault::HeaderMismatch(name)))
}

fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, CallFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match values.next() {
        None => text(value).ok_or(CallFault::HeaderMismatch(name)).map(Some),
        Some(_) => Err(CallFault::HeaderRepeated(name)),
    }
}

/// A value in ASCII, without white space around it (RFC 9110 §5.5).
fn text(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}

/// What a value stands for: as it is, or `=?base64?…?=` around what a header cannot hold (SEP-2243).
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    Some(Cow::Owned(String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests;

//! Why a body, or the headers beside it, cannot be taken for one call that everybody reads alike.

/// What is wrong with a body or with the headers that repeat parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallFault {
    /// JSON-RPC: `id` is neither a string nor an integer of 64 bits nor null, or an answer has none.
    #[error("the JSON-RPC id must be a string, an integer or null")]
    BadId,
    /// JSON-RPC: neither request nor answer, or both.
    #[error("a JSON-RPC message has either a method or a result or an error")]
    BadMessage,
    /// JSON-RPC: `jsonrpc` is not there, or not `"2.0"`.
    #[error("the member jsonrpc must be \"2.0\"")]
    BadVersion,
    /// JSON-RPC: a batch without a message in it.
    #[error("a batch has at least one message")]
    BatchEmpty,
    /// JSON-RPC: a batch within a batch.
    #[error("a batch holds messages, not arrays")]
    BatchNested,
    /// MCP: batches are part of revision 2025-03-26 only.
    #[error("only MCP revision 2025-03-26 has batches")]
    BatchNotAllowed,
    /// JSON-RPC: more messages than the limit.
    #[error("the batch has more messages than the limit")]
    BatchTooLong,
    /// A member's name is a known one but for the case of its letters, which some readers ignore.
    #[error("a member is named like a known one in another case")]
    CaseVariant,
    /// A member occurs twice; readers differ in which of them they take.
    #[error("a member occurs twice")]
    Duplicate,
    /// MCP: a header is missing, repeated, or does not say what the body says.
    #[error("the header {0} does not say what the body says")]
    HeaderMismatch(&'static str),
    /// MCP: a header that may occur once occurs again.
    #[error("the header {0} occurs twice")]
    HeaderRepeated(&'static str),
    /// Something else stands where the protocol has an object.
    #[error("a member that must be an object is not")]
    NotAnObject,
    /// Not one JSON value as RFC 8259 has it.
    #[error("the body is not JSON at byte {at}")]
    NotJson {
        /// How many bytes were read before.
        at: usize,
    },
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Objects and arrays within each other beyond the limit.
    #[error("the body is nested deeper than the limit")]
    TooDeep,
    /// An object that has to be interpreted has more members than the limit.
    #[error("an object has more members than the limit")]
    TooManyMembers,
    /// A list that has to be interpreted has more entries than the limit.
    #[error("a list has more entries than the limit")]
    TooManyReferences,
    /// MCP: more headers that repeat arguments than the limit.
    #[error("there are more Mcp-Param headers than the limit")]
    TooManyParamHeaders,
    /// A member has a value of another type than the protocol gives it.
    #[error("a member has a value of the wrong type")]
    WrongType,
}

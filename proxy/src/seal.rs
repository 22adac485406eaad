//! Ids that leave sealed, so that nobody but whom they were given to can use them, and no replica needs a table.
//!
//! Takes an id that a backend gave, the backend's name and the time; gives text that opens only for the same
//! peer, subject, purpose, own identity and route, at any replica that holds the same master key. It never keeps
//! what it sealed, and what does not open is refused without a word on why.
//!
//! Keys: HKDF-SHA-256 (RFC 5869) of a master key over key id, purpose, own SPIFFE ID and route. Cipher:
//! AES-256-GCM-SIV (RFC 8452), which stays sound should two replicas ever draw the same nonce.

mod id;
mod key_file;
mod keyring;

use pqlane_certs::spiffe_id::SpiffeId;

pub use id::{Age, Contents, MAX_SEALED_LEN, NotOpened, Opened, SealError, Sealer};
pub use key_file::KeyFileError;
pub use keyring::{KeyId, Keyring, KeyringError, MAX_KEY_FILE_LEN, MAX_KEYS};

/// What a sealed id stands for. One kind never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A2A `contextId`.
    A2aContext,
    /// Id of an A2A push notification configuration.
    A2aPushConfig,
    /// A2A task id.
    A2aTask,
    /// MCP `requestState`, from revision 2026-07-28 on.
    McpRequestState,
    /// `Mcp-Session-Id`, up to revision 2025-11-25.
    McpSession,
    /// The session id in the `endpoint` event of MCP revision 2024-11-05.
    McpSseSession,
    /// MCP `taskId`.
    McpTask,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 7] = [
        Self::A2aContext,
        Self::A2aPushConfig,
        Self::A2aTask,
        Self::McpRequestState,
        Self::McpSession,
        Self::McpSseSession,
        Self::McpTask,
    ];

    /// The label that keys and associated data carry; it never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A2aContext => "a2a-context",
            Self::A2aPushConfig => "a2a-push-config",
            Self::A2aTask => "a2a-task",
            Self::McpRequestState => "mcp-request-state",
            Self::McpSession => "mcp-session",
            Self::McpSseSession => "mcp-sse-session",
            Self::McpTask => "mcp-task",
        }
    }
}

/// Where ids are sealed and opened: what their key is derived for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// What the ids stand for.
    pub purpose: Purpose,
    /// Our own SPIFFE ID, as the peers see it.
    pub own: &'a SpiffeId,
    /// The route by which they come in.
    pub route: &'a str,
}

/// On whose behalf a peer calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Somebody whom a token names.
    Named(&'a str),
    /// Nobody else: the peer itself. It is another value than any name, the empty one too.
    None,
}

/// Whom an id is given to, and who alone may use it.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// SPIFFE ID of the verified peer. Not its certificate, which changes every hour.
    pub peer: &'a SpiffeId,
    /// On whose behalf it calls.
    pub subject: Subject<'a>,
}

/// Appends one part of several so that two lists of parts never give the same bytes: its length as eight
/// octets, most significant first, then itself.
fn push_part(to: &mut Vec<u8>, part: &[u8]) {
    to.extend_from_slice(&(part.len() as u64).to_be_bytes());
    to.extend_from_slice(part);
}

#[cfg(test)]
mod tests;

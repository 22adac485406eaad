//! How much of a body is read.

/// Bounds on what is read of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Objects and arrays within each other; never more than 128.
    pub depth: usize,
    /// Members of one object that is interpreted.
    pub members: usize,
    /// Messages of one JSON-RPC batch.
    pub batch_messages: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            depth: 64,
            members: 4096,
            batch_messages: 64,
        }
    }
}

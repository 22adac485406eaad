//! What is wrong with PEM text, in words that repeat none of it.

use rustls_pki_types::pem;

/// Why a text is not the PEM that was expected. Holds no byte of it: the text may be a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemProblem {
    /// A BEGIN or END line is malformed.
    #[error("a BEGIN line is malformed: -----BEGIN LABEL----- on a line of its own is accepted")]
    BeginLine,
    /// A section has no END line.
    #[error("a section has no END line")]
    NoEndLine,
    /// There is no section of the kind that was looked for.
    #[error("there is no section of the kind that is needed")]
    NoSection,
    /// What a section holds is not base64.
    #[error("a section is not base64")]
    NotBase64,
    /// A section is too large.
    #[error("a section is too large")]
    TooLarge,
    /// Another problem of the reader.
    #[error("it cannot be read")]
    Unreadable,
}

impl From<pem::Error> for PemProblem {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::Base64Decode(_) => Self::NotBase64,
            pem::Error::IllegalSectionStart { .. } => Self::BeginLine,
            pem::Error::MissingSectionEnd { .. } => Self::NoEndLine,
            pem::Error::NoItemsFound => Self::NoSection,
            pem::Error::SectionTooLarge => Self::TooLarge,
            _ => Self::Unreadable,
        }
    }
}

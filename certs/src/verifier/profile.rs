//! Which signature algorithms a verification accepted.

use rustls::crypto::WebPkiSupportedAlgorithms;

/// The identity of a list of algorithms: where it is in memory, and how long it is.
///
/// Such lists are `'static` and never change, so one place holds one list for as long as the process
/// runs. Identifiers of the algorithms would not do: webpki has some with the same identifiers and
/// different shortest keys. Two equal lists in two places only miss each other's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AlgorithmProfile {
    place: usize,
    len: usize,
}

impl AlgorithmProfile {
    pub(crate) fn of(algorithms: &WebPkiSupportedAlgorithms) -> Self {
        Self {
            place: algorithms.all.as_ptr().addr(),
            len: algorithms.all.len(),
        }
    }
}

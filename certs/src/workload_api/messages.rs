//! The messages of `workload.proto`, as far as X.509 goes.
//!
//! Written by hand: four messages need neither protoc nor a build script, and this way the key can be kept
//! out of `Debug` and be wiped.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

/// What [`super::FETCH_X509_SVID`] streams: everything that its caller may have, each time anew.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct X509SvidResponse {
    /// At least one; the first is the default.
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<SvidMessage>,
    /// DER, one CRL each.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) crl: Vec<Vec<u8>>,
    /// Bundles of foreign trust domains by their ID; DER certificates one after another.
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub(crate) federated_bundles: BTreeMap<String, Vec<u8>>,
}

/// One identity. The key is wiped when this is dropped.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct SvidMessage {
    /// The SPIFFE ID, which is also in the leaf.
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    /// The chain, leaf first; DER certificates one after another.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    /// The private key, PKCS#8 DER.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    /// The bundle of the SVID's own trust domain; DER certificates one after another.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
    /// What the operator calls this identity; empty if nothing.
    #[prost(string, tag = "5")]
    pub(crate) hint: String,
}

/// What [`super::FETCH_X509_BUNDLES`] streams.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct X509BundlesResponse {
    /// DER, one CRL each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) crl: Vec<Vec<u8>>,
    /// Bundles by the ID of their trust domain; DER certificates one after another.
    #[prost(btree_map = "string, bytes", tag = "2")]
    pub(crate) bundles: BTreeMap<String, Vec<u8>>,
}

impl Drop for SvidMessage {
    fn drop(&mut self) {
        self.x509_svid_key.zeroize();
    }
}

impl fmt::Debug for SvidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SvidMessage({:?})", self.spiffe_id)
    }
}

impl fmt::Debug for X509SvidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (svids, bundles) = (&self.svids, self.federated_bundles.len());
        write!(
            f,
            "X509SvidResponse({svids:?}, {bundles} federated bundles)"
        )
    }
}

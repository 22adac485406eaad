//! Who was trusted and is no longer.
//!
//! Takes a deny-list that an operator writes, and certificate revocation lists that an issuer
//! signs. Gives answers about peers whose chain verified. Never makes anybody trusted: both only
//! take away.

mod crl;
mod deny_list;

pub(crate) use crl::{Crl, CrlIssuer, Revocation, SignsCrls, newest_first, next_update_of};
pub use crl::{CrlError, MAX_CRL_LEN, MAX_CRLS};
pub use deny_list::{
    Denials, DenyEntry, DenyList, DenyListError, MAX_DENY_ENTRIES, MAX_DENY_LIST_LEN,
    MAX_SERIAL_LEN, Serial, SerialError,
};

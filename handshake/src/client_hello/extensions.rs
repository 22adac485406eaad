//! The extensions of a ClientHello that tell what a client can do.
//!
//! Takes the `extensions` vector; fills in a [`ClientHello`]. What it does not know it skips. Numbers of
//! sections are those of RFC 8446 where no other document is named.

use std::collections::BTreeSet;

use rustls::{NamedGroup, SignatureScheme};

use super::reader::Reader;
use super::{ClientHello, ClientHelloError, EarlyData, Psk, kept, u16_list};

/// Types of extensions (IANA "TLS ExtensionType Values").
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;
const SIGNATURE_ALGORITHMS_CERT: u16 = 50;
const KEY_SHARE: u16 = 51;

/// `NameType.host_name` (RFC 6066 §3).
const HOST_NAME: u8 = 0;
/// Most bytes of a DNS name (RFC 1035 §2.3.4).
const MAX_HOST_NAME_BYTES: usize = 255;

pub(super) fn read(
    mut extensions: Reader<'_>,
    hello: &mut ClientHello,
) -> Result<(), ClientHelloError> {
    let mut seen = BTreeSet::new();
    while !extensions.is_empty() {
        let extension = extensions.u16()?;
        let data = extensions.vector16("extension", 0..=0xFFFF)?;
        // §4.2: one of each type.
        if !seen.insert(extension) {
            return Err(ClientHelloError::RepeatedExtension { extension });
        }
        // §4.2.11: the last one, since its binders cover all that comes before.
        if extension == PRE_SHARED_KEY && !extensions.is_empty() {
            return Err(ClientHelloError::PskNotLast);
        }
        one(extension, data.remaining(), hello)?;
    }
    Ok(())
}

fn one(extension: u16, data: &[u8], hello: &mut ClientHello) -> Result<(), ClientHelloError> {
    match extension {
        SERVER_NAME => {
            let mut data = Reader::new("server_name", data);
            hello.server_name = Some(server_name(&mut data)?);
            data.end()
        }
        SUPPORTED_GROUPS => {
            let mut data = Reader::new("supported_groups", data);
            let list = data.vector16("named_group_list", 2..=0xFFFF)?;
            hello.groups = u16_list(list, NamedGroup::from, &mut hello.not_kept)?;
            data.end()
        }
        SIGNATURE_ALGORITHMS => {
            hello.signature_schemes = schemes("signature_algorithms", data, &mut hello.not_kept)?;
            Ok(())
        }
        SIGNATURE_ALGORITHMS_CERT => {
            hello.signature_schemes_cert =
                schemes("signature_algorithms_cert", data, &mut hello.not_kept)?;
            Ok(())
        }
        ALPN => {
            let mut data = Reader::new("application_layer_protocol_negotiation", data);
            protocols(&mut data, hello)?;
            data.end()
        }
        SUPPORTED_VERSIONS => {
            let mut data = Reader::new("supported_versions", data);
            let list = data.vector8("versions", 2..=254)?;
            hello.versions = u16_list(list, |version| version, &mut hello.not_kept)?;
            data.end()
        }
        KEY_SHARE => {
            let mut data = Reader::new("key_share", data);
            shares(&mut data, hello)?;
            data.end()
        }
        PRE_SHARED_KEY => {
            let mut data = Reader::new("pre_shared_key", data);
            hello.psk = psk(&mut data)?;
            data.end()
        }
        EARLY_DATA => {
            hello.early_data = EarlyData::Offered;
            Reader::new("early_data", data).end()
        }
        _ => Ok(()),
    }
}

/// RFC 6066 §3: one host name, in ASCII; no other type of name was ever defined.
fn server_name(data: &mut Reader<'_>) -> Result<String, ClientHelloError> {
    let mut list = data.vector16("server_name_list", 4..=0xFFFF)?;
    if list.u8()? != HOST_NAME {
        return Err(ClientHelloError::ServerName);
    }
    let name = list.vector16("host_name", 1..=0xFFFF)?.remaining();
    list.end()?;
    if name.len() > MAX_HOST_NAME_BYTES || !name.iter().all(u8::is_ascii_graphic) {
        return Err(ClientHelloError::ServerName);
    }
    Ok(name.iter().copied().map(char::from).collect())
}

/// §4.2.3.
fn schemes(
    field: &'static str,
    data: &[u8],
    not_kept: &mut usize,
) -> Result<Vec<SignatureScheme>, ClientHelloError> {
    let mut data = Reader::new(field, data);
    let list = data.vector16(field, 2..=0xFFFE)?;
    let schemes = u16_list(list, SignatureScheme::from, not_kept)?;
    data.end()?;
    Ok(schemes)
}

/// RFC 7301 §3.1.
fn protocols(data: &mut Reader<'_>, hello: &mut ClientHello) -> Result<(), ClientHelloError> {
    let mut list = data.vector16("protocol_name_list", 2..=0xFFFF)?;
    while !list.is_empty() {
        let name = list.vector8("ProtocolName", 1..=0xFF)?.remaining();
        if kept(&hello.alpn, &mut hello.not_kept) {
            hello.alpn.push(name.to_vec());
        }
    }
    Ok(())
}

/// §4.2.8. No share at all is an offer too: it asks for a HelloRetryRequest.
fn shares(data: &mut Reader<'_>, hello: &mut ClientHello) -> Result<(), ClientHelloError> {
    let mut list = data.vector16("client_shares", 0..=0xFFFF)?;
    while !list.is_empty() {
        let group = NamedGroup::from(list.u16()?);
        let share = list.vector16("key_exchange", 1..=0xFFFF)?.remaining();
        if kept(&hello.shares, &mut hello.not_kept) {
            hello.shares.push((group, share.len()));
        }
    }
    Ok(())
}

/// §4.2.11: a binder for each identity.
fn psk(data: &mut Reader<'_>) -> Result<Psk, ClientHelloError> {
    let mut list = data.vector16("identities", 7..=0xFFFF)?;
    let mut identities = 0;
    while !list.is_empty() {
        list.vector16("identity", 1..=0xFFFF)?;
        list.bytes(size_of::<u32>())?;
        identities += 1;
    }
    let mut list = data.vector16("binders", 33..=0xFFFF)?;
    let mut binders = 0;
    while !list.is_empty() {
        list.vector8("PskBinderEntry", 32..=0xFF)?;
        binders += 1;
    }
    if binders != identities {
        return Err(ClientHelloError::Binders {
            identities,
            binders,
        });
    }
    Ok(Psk::Offered { identities })
}

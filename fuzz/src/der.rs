//! The extensions of a certificate that decide about a SPIFFE identity, read a second time.
//!
//! Takes DER. Gives what it says, without judging it. Shares no code with x509-parser and webpki, which it is
//! compared with, and reads lengths that are not minimal, as BER has them, since it must not refuse what they
//! accept.

/// subjectAltName, keyUsage and basicConstraints, `id-ce` 17, 15 and 19 (RFC 5280 §4.2.1).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];

/// Identifier octets (X.690 §8.1.2), with those of context-specific tags 3 and 6.
const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;
const URI: u8 = 0x86;
/// The bit that tells a constructed element from a primitive one.
/// All bits of a tag's number: it is written in the octets that follow.
const LONG_TAG: u8 = 0x1f;

/// What the extensions of one certificate say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions<'a> {
    /// URIs among the alternative names, whatever bytes they are; none when the names cannot be read.
    pub(crate) uris: Option<Vec<&'a [u8]>>,
    /// `cA`; false where it is left out.
    pub(crate) is_ca: bool,
    /// The first octet of keyUsage, most significant bit first; none without the extension.
    pub(crate) key_usage: Option<u8>,
}

impl<'a> Extensions<'a> {
    /// Reads one certificate; none when it is not DER, or has one of these extensions twice.
    pub(crate) fn of(certificate: &'a [u8]) -> Option<Self> {
        let certificate = only(SEQUENCE, certificate)?;
        let (to_be_signed, _) = element(SEQUENCE, certificate)?;
        let mut found = Self::default();
        let (mut alt_names, mut constraints) = (0, 0);
        let extensions = elements(to_be_signed)?
            .into_iter()
            .filter(|(identifier, _)| *identifier == EXTENSIONS);
        for (_, extensions) in extensions {
            for (_, extension) in elements(only(SEQUENCE, extensions)?)? {
                let (id, rest) = element(OBJECT_IDENTIFIER, extension)?;
                // `critical` may stand between the two.
                let rest = element(BOOLEAN, rest).map_or(rest, |(_, rest)| rest);
                let value = only(OCTET_STRING, rest)?;
                match id {
                    SUBJECT_ALT_NAME => {
                        alt_names += 1;
                        found.uris = uris(value);
                    }
                    KEY_USAGE => {
                        let twice = found.key_usage.replace(key_usage(value)?);
                        twice.is_none().then_some(())?;
                    }
                    BASIC_CONSTRAINTS => {
                        constraints += 1;
                        found.is_ca = is_ca(value)?;
                    }
                    _ => {}
                }
            }
        }
        (alt_names <= 1 && constraints <= 1).then_some(found)
    }
}

/// `GeneralNames` (RFC 5280 §4.2.1.6).
fn uris(value: &[u8]) -> Option<Vec<&[u8]>> {
    let names = elements(only(SEQUENCE, value)?)?;
    let is_uri = |(identifier, _): &(u8, &[u8])| *identifier == URI;
    Some(
        names
            .into_iter()
            .filter(is_uri)
            .map(|(_, uri)| uri)
            .collect(),
    )
}

/// `KeyUsage` (RFC 5280 §4.2.1.3): the number of unused bits, then the bits.
fn key_usage(value: &[u8]) -> Option<u8> {
    let (_unused, bits) = only(BIT_STRING, value)?.split_first()?;
    Some(bits.first().copied().unwrap_or_default())
}

/// `BasicConstraints` (RFC 5280 §4.2.1.9).
fn is_ca(value: &[u8]) -> Option<bool> {
    let constraints = only(SEQUENCE, value)?;
    Some(element(BOOLEAN, constraints).is_some_and(|(ca, _)| ca != [0]))
}

/// The contents of the one element that `bytes` are.
fn only(identifier: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (contents, rest) = element(identifier, bytes)?;
    rest.is_empty().then_some(contents)
}

/// The contents of the first element, which has this identifier, and what follows it.
fn element(identifier: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = next(bytes)?;
    (found == identifier).then_some((contents, rest))
}

/// All elements with their identifiers.
fn elements(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (identifier, contents, rest) = next(bytes)?;
        all.push((identifier, contents));
        bytes = rest;
    }
    Some(all)
}

/// X.690 §8.1: identifier, length, contents. Indefinite lengths are not read.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (identifier, rest) = identifier(bytes)?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..0x80 => (usize::from(*first), rest),
        0x80 => return None,
        _ => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = octets.iter().try_fold(0_usize, |len, octet| {
                len.checked_mul(256)?.checked_add(usize::from(*octet))
            })?;
            (len, rest)
        }
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((identifier, contents, rest))
}

/// X.690 §8.1.2. Of tags above 30, which §8.1.2.4 writes in several octets, it only matters that they are such.
fn identifier(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (identifier, mut rest) = bytes.split_first()?;
    if identifier & LONG_TAG != LONG_TAG {
        return Some((*identifier, rest));
    }
    let mut number = 0_u64;
    loop {
        let (octet, after) = rest.split_first()?;
        rest = after;
        number = number.checked_mul(0x80)? + u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            break;
        }
    }
    // A small number in this form is no DER, and is taken for what it means.
    let number = u8::try_from(number).unwrap_or(LONG_TAG).min(LONG_TAG);
    Some((identifier & !LONG_TAG | number, rest))
}

//! A second reader of `X509SVIDResponse`, which shares nothing with prost.
//!
//! Spec: the encoding of protocol buffers; `workload.proto` for the fields.

use std::collections::BTreeMap;

/// Why a message was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It has a group, of the wire types 3 and 4.
    Group,
    /// It is not protobuf, or a field is not of its type.
    Malformed,
}

/// The message.
#[derive(Debug, Default)]
pub(super) struct Response<'a> {
    pub(super) svids: Vec<Svid<'a>>,
    pub(super) crls: Vec<&'a [u8]>,
    /// By name; of two entries of one name the last counts.
    pub(super) federated: BTreeMap<&'a str, &'a [u8]>,
    /// Entries of `federated` as they came.
    pub(super) entries: usize,
}

/// One of its SVIDs.
#[derive(Debug, Default)]
pub(super) struct Svid<'a> {
    pub(super) id: &'a str,
    pub(super) chain: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) bundle: &'a [u8],
    pub(super) hint: &'a str,
}

impl<'a> Response<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        let mut response = Self::default();
        each_field(bytes, |number, field| {
            match number {
                1 => response.svids.push(Svid::read(field.bytes()?)?),
                2 => response.crls.push(field.bytes()?),
                3 => {
                    let (mut name, mut bundle) = ("", &[][..]);
                    each_field(field.bytes()?, |number, field| {
                        match number {
                            1 => name = field.text()?,
                            2 => bundle = field.bytes()?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    response.entries += 1;
                    response.federated.insert(name, bundle);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(response)
    }
}

impl<'a> Svid<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Unread> {
        let mut svid = Self::default();
        each_field(bytes, |number, field| {
            match number {
                1 => svid.id = field.text()?,
                2 => svid.chain = field.bytes()?,
                3 => svid.key = field.bytes()?,
                4 => svid.bundle = field.bytes()?,
                5 => svid.hint = field.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(svid)
    }
}

/// The value of a field.
#[derive(Clone, Copy)]
enum Field<'a> {
    Bytes(&'a [u8]),
    Number,
}

impl<'a> Field<'a> {
    fn bytes(self) -> Result<&'a [u8], Unread> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number => Err(Unread::Malformed),
        }
    }

    fn text(self) -> Result<&'a str, Unread> {
        std::str::from_utf8(self.bytes()?).map_err(|_not_text| Unread::Malformed)
    }
}

fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u64, Field<'a>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        if !(8..=u64::from(u32::MAX)).contains(&key) {
            return Err(Unread::Malformed);
        }
        let field = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                Field::Number
            }
            1 => {
                split(&mut bytes, 8)?;
                Field::Number
            }
            2 => {
                let len = varint(&mut bytes)?;
                Field::Bytes(split(&mut bytes, len)?)
            }
            3 | 4 => return Err(Unread::Group),
            5 => {
                split(&mut bytes, 4)?;
                Field::Number
            }
            _ => return Err(Unread::Malformed),
        };
        take(key >> 3, field)?;
    }
    Ok(())
}

fn split<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], Unread> {
    let len = usize::try_from(len).map_err(|_too_long| Unread::Malformed)?;
    let (first, rest) = bytes.split_at_checked(len).ok_or(Unread::Malformed)?;
    *bytes = rest;
    Ok(first)
}

/// Seven bits an octet, the least significant first; at most ten octets.
fn varint(bytes: &mut &[u8]) -> Result<u64, Unread> {
    let mut value = 0_u64;
    for position in 0..10 {
        let (octet, rest) = bytes.split_first().ok_or(Unread::Malformed)?;
        *bytes = rest;
        value |= u64::from(octet & 0x7f) << (7 * position);
        if octet & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Unread::Malformed)
}

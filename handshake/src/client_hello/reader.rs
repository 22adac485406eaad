//! Numbers and vectors of the TLS presentation language (RFC 8446 §3).
//!
//! Takes a slice that is there; gives slices of it. Every vector names its field and the lengths it may have,
//! so that a refusal can say what is wrong.

use std::ops::RangeInclusive;

use super::ClientHelloError;

/// What is left of one field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    field: &'static str,
    unread: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(field: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            field,
            unread: bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ClientHelloError> {
        let cut = self.unread.split_at_checked(count);
        let (bytes, rest) = cut.ok_or(ClientHelloError::Truncated { field: self.field })?;
        self.unread = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ClientHelloError> {
        let cut = self.unread.split_first_chunk::<N>();
        let (bytes, rest) = cut.ok_or(ClientHelloError::Truncated { field: self.field })?;
        self.unread = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ClientHelloError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ClientHelloError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A vector with a length of one byte.
    pub(super) fn vector8(
        &mut self,
        field: &'static str,
        accepted: RangeInclusive<usize>,
    ) -> Result<Self, ClientHelloError> {
        let bytes = usize::from(self.u8()?);
        self.vector(field, bytes, &accepted)
    }

    /// A vector with a length of two bytes.
    pub(super) fn vector16(
        &mut self,
        field: &'static str,
        accepted: RangeInclusive<usize>,
    ) -> Result<Self, ClientHelloError> {
        let bytes = usize::from(self.u16()?);
        self.vector(field, bytes, &accepted)
    }

    fn vector(
        &mut self,
        field: &'static str,
        bytes: usize,
        accepted: &RangeInclusive<usize>,
    ) -> Result<Self, ClientHelloError> {
        if !accepted.contains(&bytes) {
            return Err(ClientHelloError::Length {
                field,
                bytes,
                least: *accepted.start(),
                most: *accepted.end(),
            });
        }
        let cut = self.unread.split_at_checked(bytes);
        let (inside, rest) = cut.ok_or(ClientHelloError::Truncated { field })?;
        self.unread = rest;
        Ok(Self::new(field, inside))
    }

    /// All that is left.
    pub(super) fn remaining(self) -> &'a [u8] {
        self.unread
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), ClientHelloError> {
        match self.unread.len() {
            0 => Ok(()),
            bytes => Err(ClientHelloError::Trailing {
                field: self.field,
                bytes,
            }),
        }
    }
}

//! One protobuf message, field by field.
//!
//! Takes the bytes of a message; gives its fields in order, each a number and, where it is length-delimited, a
//! subslice. Goes down into nothing by itself and allocates nothing, so that what a caller skips costs no more
//! than its length. It never merges: which fields may come again is for the caller to say.
//!
//! Spec: protobuf encoding (protobuf.dev/programming-guides/encoding). Stricter than that: a key or a length
//! has one spelling, the shortest, and there are no groups.

#![warn(clippy::indexing_slicing)]

use super::grpc::GrpcFault;

/// Octets of the longest key: 29 bits of number, 3 of wire type, 7 an octet.
const MAX_KEY_LEN: usize = 5;
/// Octets of the longest varint: 64 bits.
const MAX_VARINT_LEN: usize = 10;
/// The largest field number.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A length-delimited one: a string, bytes, a message, a packed list.
    Bytes(&'a [u8]),
    /// A number of any kind.
    Number,
}

impl<'a> Field<'a> {
    /// The value as bytes.
    ///
    /// # Errors
    /// [`GrpcFault::WireType`] when it is a number.
    pub(super) fn bytes(self) -> Result<&'a [u8], GrpcFault> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number => Err(GrpcFault::WireType),
        }
    }

    /// The value as a proto3 `string`.
    ///
    /// # Errors
    /// As [`Field::bytes`], and [`GrpcFault::NotUtf8`].
    pub(super) fn text(self) -> Result<&'a str, GrpcFault> {
        str::from_utf8(self.bytes()?).map_err(|_not_text| GrpcFault::NotUtf8)
    }
}

/// The fields of a message; ends after the first fault.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    unread: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of the message that these bytes are.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { unread: message }
    }

    fn read(&mut self) -> Result<Field<'a>, GrpcFault> {
        let key = self.shortest_varint(MAX_KEY_LEN)?;
        let number = key >> 3;
        if !(1..=MAX_NUMBER).contains(&number) {
            return Err(GrpcFault::FieldNumber);
        }
        let value = match key & 7 {
            0 => {
                self.varint(MAX_VARINT_LEN)?;
                Value::Number
            }
            1 => {
                self.split(8)?;
                Value::Number
            }
            2 => {
                let len = self.shortest_varint(MAX_VARINT_LEN)?;
                let len = usize::try_from(len).map_err(|_too_long| GrpcFault::Truncated)?;
                Value::Bytes(self.split(len)?)
            }
            3 | 4 => return Err(GrpcFault::Group),
            5 => {
                self.split(4)?;
                Value::Number
            }
            _ => return Err(GrpcFault::WireType),
        };
        Ok(Field { number, value })
    }

    /// A varint that ends in no empty octet: other readers could take it for a different one.
    fn shortest_varint(&mut self, max_len: usize) -> Result<u64, GrpcFault> {
        let before = self.unread;
        let value = self.varint(max_len)?;
        let len = before.len() - self.unread.len();
        match (len, before.get(len - 1)) {
            (2.., Some(0)) => Err(GrpcFault::Varint),
            _ => Ok(value),
        }
    }

    /// Seven bits an octet, the least significant first, in 64 bits.
    fn varint(&mut self, max_len: usize) -> Result<u64, GrpcFault> {
        let mut value = 0_u64;
        let mut shift = 0;
        for _ in 0..max_len {
            let (octet, rest) = self.unread.split_first().ok_or(GrpcFault::Truncated)?;
            self.unread = rest;
            let bits = u64::from(octet & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(GrpcFault::Varint);
            }
            value |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(GrpcFault::Varint)
    }

    fn split(&mut self, len: usize) -> Result<&'a [u8], GrpcFault> {
        let (first, rest) = self
            .unread
            .split_at_checked(len)
            .ok_or(GrpcFault::Truncated)?;
        self.unread = rest;
        Ok(first)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, GrpcFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.unread.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.unread = &[];
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Result<Vec<Field<'_>>, GrpcFault> {
        Fields::of(message).collect()
    }

    fn bytes(number: u64, bytes: &[u8]) -> Field<'_> {
        let value = Value::Bytes(bytes);
        Field { number, value }
    }

    fn number(number: u64) -> Field<'static> {
        let value = Value::Number;
        Field { number, value }
    }

    #[test]
    fn gives_every_field_in_order_whatever_its_type() {
        let message = b"\x0a\x02ab\x10\x96\x01\x19........\x25....\x0a\x00";
        let fields = [
            bytes(1, b"ab"),
            number(2),
            number(3),
            number(4),
            bytes(1, b""),
        ];
        assert_eq!(read(message).unwrap(), fields);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn gives_the_smallest_and_the_largest_field_number_and_none_beyond() {
        assert_eq!(read(b"\x08\x00").unwrap(), [number(1)]);
        let largest = read(b"\xf8\xff\xff\xff\x0f\x00").unwrap();
        assert_eq!(largest, [number((1 << 29) - 1)]);
        assert_eq!(read(b"\x00\x00"), Err(GrpcFault::FieldNumber));
        let beyond = read(b"\x80\x80\x80\x80\x10\x00");
        assert_eq!(beyond, Err(GrpcFault::FieldNumber));
    }

    #[test]
    fn refuses_keys_and_lengths_that_are_longer_than_they_need_to_be() {
        for padded in [
            &b"\x8a\x00\x01a"[..],
            b"\x0a\x81\x00a",
            b"\x0a\x80\x00",
            b"\x8a\x80\x80\x80\x80\x00\x01a",
        ] {
            assert_eq!(read(padded), Err(GrpcFault::Varint), "{padded:x?}");
        }
    }

    #[test]
    fn takes_numbers_of_64_bits_and_none_of_more() {
        let minus_one = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(read(minus_one).unwrap(), [number(1)]);
        let more = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
        assert_eq!(read(more), Err(GrpcFault::Varint));
        let endless = [&[0x08][..], &[0x80; 10], &[0]].concat();
        assert_eq!(read(&endless), Err(GrpcFault::Varint));
    }

    #[test]
    fn refuses_what_ends_early_wherever_it_is_cut() {
        for whole in [
            &b"\x0a\x03abc"[..],
            b"\x08\x96\x01",
            b"\x09........",
            b"\x0d....",
        ] {
            for cut in 1..whole.len() {
                let result = read(&whole[..cut]);
                assert_eq!(result, Err(GrpcFault::Truncated), "{whole:x?} at {cut}");
            }
        }
        let huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc";
        assert_eq!(read(huge), Err(GrpcFault::Truncated));
    }

    #[test]
    fn refuses_groups_and_wire_types_that_do_not_exist() {
        assert_eq!(read(b"\x0b\x0c"), Err(GrpcFault::Group));
        assert_eq!(read(b"\x0c"), Err(GrpcFault::Group));
        assert_eq!(read(b"\x0e\x00"), Err(GrpcFault::WireType));
        assert_eq!(read(b"\x0f\x00"), Err(GrpcFault::WireType));
    }

    #[test]
    fn gives_nothing_after_a_fault() {
        let mut fields = Fields::of(b"\x0b\x0a\x01a");
        assert_eq!(fields.next(), Some(Err(GrpcFault::Group)));
        assert_eq!(fields.next(), None);
    }
}

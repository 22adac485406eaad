//! One DER element after another, where no parser of certificates gives the bytes themselves.
//!
//! Takes bytes. Gives an element with its exact extent. Never reads lengths that DER forbids: the
//! indefinite form, lengths in more octets than needed, tag numbers above 30. Spec: X.690 §8.1, §10.1.

/// Identifier octets (X.690 §8.1.2).
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The contents of a BOOLEAN that is true (X.690 §11.1).
pub(crate) const TRUE: &[u8] = &[0xff];

/// All bits of a tag's number: it is written in the octets that follow.
const LONG_TAG: u8 = 0x1f;

/// One element, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) identifier: u8,
    /// Identifier, length and contents.
    pub(crate) whole: &'a [u8],
    pub(crate) contents: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// The first element of `bytes`; none when it is not DER or is cut short.
pub(crate) fn first(bytes: &[u8]) -> Option<Element<'_>> {
    let (identifier, after) = bytes.split_first()?;
    if identifier & LONG_TAG == LONG_TAG {
        return None;
    }
    let (len, after) = length(after)?;
    let (contents, rest) = after.split_at_checked(len)?;
    let whole = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
    Some(Element {
        identifier: *identifier,
        whole,
        contents,
        rest,
    })
}

/// The first element of `bytes`, if it is of this kind.
pub(crate) fn expect(identifier: u8, bytes: &[u8]) -> Option<Element<'_>> {
    first(bytes).filter(|element| element.identifier == identifier)
}

/// The elements of `bytes` in order, ending before the first that is not DER.
pub(crate) fn each(bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::successors(first(bytes), |element| first(element.rest))
}

/// X.690 §8.1.3, §10.1: the shortest form only. Four octets hold more than is ever read here.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, after) = bytes.split_first()?;
    let octets = match first {
        0..=0x7f => return Some((usize::from(*first), after)),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return None,
    };
    let (octets, after) = after.split_at_checked(octets)?;
    let len = octets
        .iter()
        .fold(0_usize, |len, octet| len << 8 | usize::from(*octet));
    let shortest = octets.first() != Some(&0) && len >= 0x80;
    shortest.then_some((len, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_an_element_from_what_follows() {
        let element = first(&[0x30, 2, 5, 0, 9]).unwrap();
        assert_eq!(element.whole, [0x30, 2, 5, 0]);
        assert_eq!(element.contents, [5, 0]);
        assert_eq!(element.rest, [9]);
        let mut long = vec![0x30, 0x81, 0x80];
        long.extend([7; 0x80]);
        assert_eq!(expect(SEQUENCE, &long).unwrap().contents, [7; 0x80]);
        assert_eq!(expect(BIT_STRING, &long), None);
        let identifiers = each(&[2, 1, 0, 5, 0, 2]).map(|element| element.identifier);
        assert_eq!(identifiers.collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn reads_no_lengths_that_der_forbids_and_nothing_cut_short() {
        let refused: [&[u8]; 8] = [
            &[],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 0x80],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x1f, 1, 0],
        ];
        for bytes in refused {
            assert_eq!(first(bytes), None, "{bytes:?}");
        }
    }
}

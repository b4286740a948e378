//! As much of CBOR (RFC 8949) as says where things end: the library that verifies reads values leniently and stops
//! where it has enough. Only definite lengths: CTAP2 allows no others (section 8, "canonical CBOR").

/// How deep values may be nested: attestations have three levels, CTAP2 allows four.
const MAX_DEPTH: u8 = 6;

/// Reads one value after another, never past the end.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The number of pairs of a map that begins here.
    pub(crate) fn map(&mut self) -> Option<u64> {
        self.expect(5)
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let count = self.expect(3)?;
        std::str::from_utf8(self.take(usize::try_from(count).ok()?)?).ok()
    }

    /// A string of bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.expect(2)?;
        self.take(usize::try_from(count).ok()?)
    }

    /// Passes over one value, whatever it is.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.skip_at(0)
    }

    fn skip_at(&mut self, depth: u8) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (major, argument) = self.head()?;
        let values = match major {
            2 | 3 => return self.take(usize::try_from(argument).ok()?).map(drop),
            4 => argument,
            5 => argument.checked_mul(2)?,
            6 => 1,
            _ => return Some(()),
        };
        // Each takes a byte at least, so a count that lies ends where the bytes do.
        (0..values).try_for_each(|_| self.skip_at(depth + 1))
    }

    fn expect(&mut self, wanted: u8) -> Option<u64> {
        let (major, argument) = self.head()?;
        (major == wanted).then_some(argument)
    }

    fn head(&mut self) -> Option<(u8, u64)> {
        let first = *self.take(1)?.first()?;
        let bytes = match first & 0x1f {
            small @ 0..=23 => return Some((first >> 5, u64::from(small))),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let argument = self.take(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Some((first >> 5, argument))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(bytes: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(bytes);
        reader.skip().map(|()| reader.rest().len())
    }

    #[test]
    fn a_value_ends_where_rfc_8949_says() {
        for (bytes, left) in [
            (&[0x00][..], 0),
            (&[0x17, 9], 1),
            (&[0x18, 0xff, 9], 1),
            (&[0x1b, 0, 0, 0, 0, 0, 0, 0, 1], 0),
            (&[0x38, 0xff], 0),
            (&[0x42, 1, 2, 9], 1),
            (&[0x62, b'h', b'i'], 0),
            (&[0x82, 0x00, 0x41, 7], 0),
            (&[0xa1, 0x61, b'a', 0xf5, 9], 1),
            (&[0xc1, 0x00], 0),
            (&[0xf6], 0),
            (&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0], 0),
        ] {
            assert_eq!(skips(bytes), Some(left), "{bytes:?}");
        }
    }

    #[test]
    fn cut_indefinite_deep_and_lying_values_are_no_values() {
        let deep = [&[0x81; 8][..], &[0x00]].concat();
        let very_deep = [&[0x81; 100_000][..], &[0x00]].concat();
        for bytes in [
            &[][..],
            &[0x18],
            &[0x42, 1],
            &[0x5f, 0x41, 1, 0xff],
            &[0x9f, 0xff],
            &[0xbf, 0xff],
            &[0x1c],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00],
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00],
            &deep,
            &very_deep,
        ] {
            assert_eq!(skips(bytes), None, "{} bytes", bytes.len());
        }
        assert_eq!(skips(&[&[0x81; 6][..], &[0x00]].concat()), Some(0));
    }
}

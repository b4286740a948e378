//! The format itself (MaxMind DB File Format Specification 2.0): a binary tree of networks, then records, then what the
//! file says of itself. Whatever is in the file, reading it ends: depths and steps are bounded, and each offset checked.

use std::net::IpAddr;

/// Begins the last section.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Stands between tree and records.
const GAP: usize = 16;
/// How deep records may be nested.
const MAX_DEPTH: usize = 16;
/// The most values that are passed over to find one.
const MAX_STEPS: usize = 4096;

/// A file's bytes, and how its tree is laid out.
#[derive(Debug)]
pub(super) struct Mmdb {
    bytes: Vec<u8>,
    nodes: usize,
    /// Bits of one side of a node: 24, 28 or 32.
    bits: usize,
    ipv6: bool,
    /// Where records begin.
    records: usize,
}

/// A section of values: offsets, and pointers in it, are from its beginning.
#[derive(Clone, Copy)]
struct Section<'a>(&'a [u8]);

/// Where a value is, in its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(usize);

impl Mmdb {
    /// Reads what the file says of itself. The error says what is wrong.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let marker = bytes.windows(MARKER.len()).rposition(|it| it == MARKER).ok_or("its end is missing")?;
        let about = Section(bytes.get(marker + MARKER.len()..).unwrap_or_default());
        let number = |name| {
            let at = about.at(At(0), &[name])?;
            usize::try_from(about.unsigned(at)?).ok()
        };
        let (Some(nodes), Some(bits), Some(version)) =
            (number("node_count"), number("record_size"), number("ip_version"))
        else {
            return Err("it does not say how it is laid out");
        };
        if number("binary_format_major_version") != Some(2) {
            return Err("it is of another version of the format");
        }
        if !matches!(bits, 24 | 28 | 32) || !matches!(version, 4 | 6) {
            return Err("it is laid out in a way that is not known");
        }
        let tree = nodes.checked_mul(bits / 4).ok_or("its tree is larger than it is itself")?;
        let records = tree.checked_add(GAP).filter(|records| *records <= marker);
        let records = records.ok_or("its tree is larger than it is itself")?;
        Ok(Self { bytes, nodes, bits, ipv6: version == 6, records })
    }

    /// The record of the network that an address is in.
    pub(super) fn find(&self, address: IpAddr) -> Option<At> {
        let (address, length) = match (address.to_canonical(), self.ipv6) {
            (IpAddr::V4(address), false) => (u128::from(u32::from(address)) << 96, 32),
            // IPv4 is ::a.b.c.d in a tree of both.
            (IpAddr::V4(address), true) => (u128::from(u32::from(address)), 128),
            (IpAddr::V6(address), true) => (u128::from(address), 128),
            (IpAddr::V6(_), false) => return None,
        };
        let mut node = 0;
        for bit in 0..length {
            let right = (address >> (127 - bit)) & 1 == 1;
            let next = self.side(node, right)?;
            if next > self.nodes {
                return next.checked_sub(self.nodes)?.checked_sub(GAP).map(At);
            }
            if next == self.nodes {
                return None;
            }
            node = next;
        }
        None
    }

    /// Where one side of a node leads.
    fn side(&self, node: usize, right: bool) -> Option<usize> {
        let size = self.bits / 4;
        let begin = node.checked_mul(size)?;
        let node = self.bytes.get(begin..begin.checked_add(size)?)?;
        let value = match (node, right) {
            (&[a, b, c, _, _, _], false) | (&[_, _, _, a, b, c], true) => u32::from_be_bytes([0, a, b, c]),
            (&[a, b, c, middle, _, _, _], false) => u32::from_be_bytes([middle >> 4, a, b, c]),
            (&[_, _, _, middle, a, b, c], true) => u32::from_be_bytes([middle & 0x0f, a, b, c]),
            (&[a, b, c, d, _, _, _, _], false) | (&[_, _, _, _, a, b, c, d], true) => {
                u32::from_be_bytes([a, b, c, d])
            }
            _ => return None,
        };
        usize::try_from(value).ok()
    }

    fn values(&self) -> Section<'_> {
        Section(self.bytes.get(self.records..).unwrap_or_default())
    }

    /// The text at the end of these keys.
    pub(super) fn text(&self, record: At, keys: &[&str]) -> Option<&str> {
        let values = self.values();
        values.text(values.at(record, keys)?)
    }

    /// The number at the end of these keys.
    pub(super) fn double(&self, record: At, keys: &[&str]) -> Option<f64> {
        let values = self.values();
        let (kind, size, at) = values.head(values.at(record, keys)?)?;
        match (kind, size) {
            (3, 8) => Some(f64::from_be_bytes(*values.0.get(at..)?.first_chunk()?)),
            (15, 4) => Some(f32::from_be_bytes(*values.0.get(at..)?.first_chunk()?).into()),
            _ => None,
        }
    }
}

impl<'a> Section<'a> {
    /// What stands there after all pointers: its kind, its size, and where it begins.
    fn head(self, at: At) -> Option<(u8, usize, usize)> {
        let mut at = at;
        for _ in 0..2 {
            let (kind, size, next) = self.plain(at)?;
            if kind != 1 {
                return Some((kind, size, next));
            }
            // A pointer's size is where it points to. One never points to another.
            at = At(size);
        }
        None
    }

    /// The same before it is followed.
    fn plain(self, At(at): At) -> Option<(u8, usize, usize)> {
        let control = *self.0.get(at)?;
        let mut next = at.checked_add(1)?;
        let mut kind = control >> 5;
        if kind == 1 {
            let low = usize::from(control & 0b111);
            let (count, base, high) = match (control >> 3) & 0b11 {
                0 => (1, 0, low),
                1 => (2, 2048, low),
                2 => (3, 526_336, low),
                _ => (4, 0, 0),
            };
            let to = self
                .big_endian(next, count)?
                .checked_add(high.checked_shl(8 * u32::try_from(count).ok()?)?)?;
            return Some((1, to.checked_add(base)?, next.checked_add(count)?));
        }
        if kind == 0 {
            kind = self.0.get(next)?.checked_add(7)?;
            next = next.checked_add(1)?;
        }
        let (count, base) = match control & 0x1f {
            29 => (1, 29),
            30 => (2, 285),
            31 => (3, 65_821),
            size => return Some((kind, usize::from(size), next)),
        };
        let size = self.big_endian(next, count)?.checked_add(base)?;
        Some((kind, size, next.checked_add(count)?))
    }

    fn big_endian(self, at: usize, count: usize) -> Option<usize> {
        let bytes = self.0.get(at..at.checked_add(count)?)?;
        Some(bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    }

    fn text(self, at: At) -> Option<&'a str> {
        let (kind, size, at) = self.head(at)?;
        let bytes = self.0.get(at..at.checked_add(size)?)?;
        (kind == 2).then(|| std::str::from_utf8(bytes).ok())?
    }

    fn unsigned(self, at: At) -> Option<u64> {
        let (kind, size, at) = self.head(at)?;
        let number = self.big_endian(at, size).filter(|_| size <= 8)?;
        matches!(kind, 5 | 6 | 9).then(|| u64::try_from(number).ok())?
    }

    /// Where the value at the end of these keys is.
    fn at(self, map: At, keys: &[&str]) -> Option<At> {
        let mut steps = MAX_STEPS;
        keys.iter().try_fold(map, |map, key| self.entry(map, key, &mut steps))
    }

    fn entry(self, map: At, key: &str, steps: &mut usize) -> Option<At> {
        let (kind, entries, mut at) = self.head(map)?;
        (kind == 7).then_some(())?;
        for _ in 0..entries {
            let name = self.text(At(at))?;
            let value = self.end(At(at), 0, steps)?;
            if name == key {
                return Some(At(value));
            }
            at = self.end(At(value), 0, steps)?;
        }
        None
    }

    /// Where what follows a value begins.
    fn end(self, at: At, depth: usize, steps: &mut usize) -> Option<usize> {
        *steps = steps.checked_sub(1)?;
        (depth < MAX_DEPTH).then_some(())?;
        let (kind, size, mut next) = self.plain(at)?;
        let inner = match kind {
            1 | 14 => return Some(next),
            7 => size.checked_mul(2)?,
            11 => size,
            _ => return next.checked_add(size),
        };
        for _ in 0..inner {
            next = self.end(At(next), depth + 1, steps)?;
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two networks of one bit each, 0.0.0.0/1 with a record and 128.0.0.0/1 without, in nodes of so many bits.
    fn file(bits: u8) -> Vec<u8> {
        let record = 1 + 16;
        let sides: Vec<u8> = match bits {
            24 => vec![0, 0, record, 0, 0, 1],
            28 => vec![0, 0, record, 0, 0, 0, 1],
            _ => vec![0, 0, 0, record, 0, 0, 0, 1],
        };
        let mut file = sides;
        file.extend([0; 16]);
        // {"pad": [1, {}], "location": {"latitude": 52.5}, "country": -> {"iso_code": "DE"}}
        file.extend([0xe3, 0x43]);
        file.extend(b"pad");
        file.extend([0x02, 0x04, 0xa1, 0x01, 0xe0, 0x48]);
        file.extend(b"location");
        file.extend([0xe1, 0x48]);
        file.extend(b"latitude");
        file.push(0x68);
        file.extend(52.5_f64.to_be_bytes());
        file.push(0x47);
        file.extend(b"country");
        let here = file.len() - usize::from(bits / 4) - 16;
        file.extend([0x20, u8::try_from(here + 2).unwrap(), 0xe1, 0x48]);
        file.extend(b"iso_code");
        file.push(0x42);
        file.extend(b"DE");
        file.extend(MARKER);
        file.push(0xe4);
        for (name, value) in
            [("binary_format_major_version", 2), ("node_count", 1), ("record_size", bits), ("ip_version", 4)]
        {
            file.push(0x40 | u8::try_from(name.len()).unwrap());
            file.extend(name.as_bytes());
            file.extend([0xa1, value]);
        }
        file
    }

    #[test]
    fn a_record_is_found_by_its_network_whatever_the_tree_is_made_of() {
        for bits in [24, 28, 32] {
            let found = Mmdb::new(file(bits)).unwrap();
            let record = found.find("100.0.0.1".parse().unwrap()).unwrap();
            assert_eq!(found.text(record, &["country", "iso_code"]), Some("DE"), "{bits}");
            assert_eq!(found.double(record, &["location", "latitude"]), Some(52.5), "{bits}");
            assert_eq!(found.text(record, &["country", "name"]), None);
            assert_eq!(found.find("200.0.0.1".parse().unwrap()), None);
            assert_eq!(found.find("2001:db8::1".parse().unwrap()), None);
            assert!(found.find("::ffff:100.0.0.1".parse().unwrap()).is_some());
        }
    }

    /// Whatever a byte is changed to, reading ends, and in no panic.
    #[test]
    fn a_broken_file_is_refused_or_says_nothing() {
        assert!(Mmdb::new(Vec::new()).is_err());
        assert!(Mmdb::new(MARKER.to_vec()).is_err());
        let whole = file(24);
        for at in 0..whole.len() {
            for byte in [0x00, 0x1f, 0x20, 0x3f, 0xe1, 0xff] {
                let mut broken = whole.clone();
                broken[at] = byte;
                let Ok(found) = Mmdb::new(broken) else { continue };
                for address in ["100.0.0.1", "200.0.0.1"] {
                    let Some(record) = found.find(address.parse().unwrap()) else { continue };
                    let _ = found.text(record, &["country", "iso_code"]);
                    let _ = found.double(record, &["location", "latitude"]);
                }
            }
            let _ = Mmdb::new(whole[..at].to_vec());
        }
    }
}

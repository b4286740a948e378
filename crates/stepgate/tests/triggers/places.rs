//! A database of places in MaxMind's format, of networks of this machine's own (MaxMind DB File Format
//! Specification 2.0).

use std::net::Ipv4Addr;

/// A network, its country, latitude and longitude.
pub(crate) type Place = ([u8; 3], &'static str, f64, f64);

/// Berlin and Sydney: 127.0.0.0/24, from which psql comes, and 127.0.7.0/24.
pub(crate) const BERLIN_AND_SYDNEY: [Place; 2] =
    [([127, 0, 0], "DE", 52.5, 13.4), ([127, 0, 7], "AU", -33.9, 151.2)];

#[derive(Clone, Copy)]
enum Entry {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The file's bytes.
pub(crate) fn database(places: &[Place]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Entry::Nothing; 2]], Vec::new());
    for (network, country, latitude, longitude) in places {
        let at = data.len();
        map(&mut data, 2);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, country);
        text(&mut data, "location");
        map(&mut data, 2);
        text(&mut data, "latitude");
        double(&mut data, *latitude);
        text(&mut data, "longitude");
        double(&mut data, *longitude);
        let bits = u32::from(Ipv4Addr::new(network[0], network[1], network[2], 0));
        let mut node = 0;
        for bit in 0..24 {
            let side = usize::from(bits & (1 << (31 - bit)) != 0);
            if bit == 23 {
                nodes[node][side] = Entry::Data(at);
                continue;
            }
            node = match nodes[node][side] {
                Entry::Node(next) => next,
                _ => {
                    nodes.push([Entry::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Entry::Node(next);
                    next
                }
            };
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for entry in nodes.into_iter().flatten() {
        let value = match entry {
            Entry::Nothing => count,
            Entry::Node(node) => node,
            Entry::Data(at) => count + 16 + at,
        };
        file.extend(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut file, count);
    file
}

fn metadata(file: &mut Vec<u8>, nodes: usize) {
    map(file, 9);
    for (name, value) in [
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("ip_version", 4),
        ("record_size", 24_u16),
    ] {
        text(file, name);
        file.push(5 << 5 | 2);
        file.extend(value.to_be_bytes());
    }
    text(file, "node_count");
    file.push(6 << 5 | 4);
    file.extend(u32::try_from(nodes).unwrap().to_be_bytes());
    text(file, "build_epoch");
    file.extend([8, 2]);
    file.extend(1_700_000_000_u64.to_be_bytes());
    text(file, "database_type");
    text(file, "Test-City");
    text(file, "languages");
    file.extend([0, 4]);
    text(file, "description");
    map(file, 1);
    text(file, "en");
    text(file, "Of tests");
}

fn map(out: &mut Vec<u8>, entries: u8) {
    out.push(7 << 5 | entries);
}

fn text(out: &mut Vec<u8>, text: &str) {
    let len = u8::try_from(text.len()).unwrap();
    assert!(len < 29, "longer ones are written otherwise");
    out.push(2 << 5 | len);
    out.extend(text.as_bytes());
}

fn double(out: &mut Vec<u8>, value: f64) {
    out.push(3 << 5 | 8);
    out.extend(value.to_be_bytes());
}

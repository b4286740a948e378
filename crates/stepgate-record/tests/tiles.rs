//! Tiled logs, read by a reader that knows the specification (C2SP tlog-tiles) and nothing of how they are written.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use stepgate_record::{Hash, Tile, Tiles, Tree};

type Node = [u8; 32];
type Files = BTreeMap<String, Vec<u8>>;

fn entry(n: u64) -> Vec<u8> {
    // Of all lengths, none included.
    let length = usize::try_from(n * 37 % 301).unwrap();
    n.to_be_bytes().into_iter().cycle().take(length).collect()
}

fn write(tiles: &mut Tiles, size: u64, files: &mut Files, has: impl Fn(u64) -> bool) {
    let mut put = |tile: Tile| {
        let before = files.insert(tile.path(), tile.bytes.clone());
        assert!(before.is_none_or(|before| before == tile.bytes), "{} was written otherwise", tile.path());
    };
    while tiles.size() < size {
        let (n, entry) = (tiles.size(), entry(tiles.size()));
        tiles.push(Hash::leaf(&entry), has(n).then_some(&entry[..])).into_iter().for_each(&mut put);
    }
    tiles.partial().into_iter().for_each(put);
}

fn node(left: Node, right: Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// RFC 6962 section 2.1 over subtrees of one height.
fn root(nodes: &[Node]) -> Node {
    match nodes {
        [one] => *one,
        many => {
            let k = many.len().next_power_of_two() / 2;
            node(root(&many[..k]), root(&many[k..]))
        }
    }
}

/// The paths of a level with `count` hashes or entries: full ones, and the one that is not.
fn paths(level: &str, count: u64) -> Vec<(String, usize)> {
    let name = |index: u64| {
        let digits = format!("{index:0width$}", width = index.to_string().len().div_ceil(3) * 3);
        let groups: Vec<_> =
            digits.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group)).collect();
        format!("tile/{level}/{}", groups.join("/x").replacen("", if groups.len() > 1 { "x" } else { "" }, 1))
    };
    let name = |index| {
        // The last element has none.
        let name = name(index);
        match name.rsplit_once("/x") {
            Some((above, last)) => format!("{above}/{last}"),
            None => name,
        }
    };
    let mut paths: Vec<_> = (0..count / 256).map(|index| (name(index), 256)).collect();
    if !count.is_multiple_of(256) {
        paths.push((
            format!("{}.p/{}", name(count / 256), count % 256),
            usize::try_from(count % 256).unwrap(),
        ));
    }
    paths
}

/// The hashes of a level, read from its tiles.
fn level(files: &Files, level: u32, size: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (path, width) in paths(&level.to_string(), size / 256_u64.pow(level)) {
        let bytes = &files[&path];
        assert_eq!(bytes.len(), 32 * width, "{path}");
        nodes.extend(bytes.chunks(32).map(|hash| Node::try_from(hash).unwrap()));
    }
    nodes
}

/// The leaf hashes, from the bundles.
fn entries(files: &Files, size: u64) -> Vec<Node> {
    let mut leaves = Vec::new();
    for (path, width) in paths("entries", size) {
        let mut bytes = &files[&path][..];
        for _ in 0..width {
            let (length, rest) = bytes.split_at(2);
            let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(length.try_into().unwrap())));
            leaves.push(Sha256::new().chain_update([0]).chain_update(entry).finalize().into());
            bytes = rest;
        }
        assert!(bytes.is_empty(), "{path}");
    }
    leaves
}

/// Every level by itself, with what is right of its last hash from the levels below, gives the root of the tree.
fn check(files: &Files, size: u64, expected: Node) {
    let leaves = level(files, 0, size);
    assert_eq!(entries(files, size), leaves);
    assert_eq!(root(&leaves), expected);
    let mut levels = 1;
    while 256_u64.pow(levels) <= size {
        let nodes = level(files, levels, size);
        let below = level(files, levels - 1, size);
        for (node, tile) in nodes.iter().zip(below.chunks(256)) {
            assert_eq!(*node, root(tile), "level {levels}");
        }
        // The tree over whole tiles of the level below, then what is no whole tile there, down to the leaves.
        let mut nodes: Vec<(u64, Node)> = nodes.into_iter().map(|node| (256_u64.pow(levels), node)).collect();
        for lower in (0..levels).rev() {
            let covered: u64 = nodes.iter().map(|(leaves, _)| leaves).sum();
            let rest =
                level(files, lower, size).split_off(usize::try_from(covered / 256_u64.pow(lower)).unwrap());
            nodes.extend(rest.into_iter().map(|node| (256_u64.pow(lower), node)));
        }
        assert_eq!(spanned(&nodes), expected, "from level {levels}");
        levels += 1;
    }
}

/// RFC 6962 section 2.1 over subtrees of several heights.
fn spanned(nodes: &[(u64, Node)]) -> Node {
    if let [(_, one)] = nodes {
        return *one;
    }
    let size: u64 = nodes.iter().map(|(leaves, _)| leaves).sum();
    let (k, mut left, mut at) = (size.next_power_of_two() / 2, 0, 0);
    while left < k {
        left += nodes[at].0;
        at += 1;
    }
    assert_eq!(left, k);
    node(spanned(&nodes[..at]), spanned(&nodes[at..]))
}

fn tree(size: u64) -> Node {
    let mut tree = Tree::new();
    (0..size).for_each(|n| tree.push(Hash::leaf(&entry(n))));
    *tree.root(size).unwrap().bytes()
}

/// Files that the tree of one of these sizes has, and no others.
fn only(files: &Files, sizes: &[u64]) {
    let mut named = Vec::new();
    for size in sizes {
        named.extend(paths("entries", *size));
        named.extend((0..4).flat_map(|level| paths(&level.to_string(), size / 256_u64.pow(level))));
    }
    for path in files.keys() {
        assert!(named.iter().any(|(name, _)| name == path), "{path} is of no tree of {sizes:?}");
    }
}

/// Written to `first`, taken up again there, and written to `size`.
fn grown(first: u64, size: u64) {
    let mut files = Files::new();
    let mut tiles = Tiles::default();
    write(&mut tiles, first, &mut files, |_| true);
    let mut again = Tiles::resume(first / 256 * 256, &mut |path| files.get(path).cloned()).unwrap();
    assert_eq!(again.size(), first / 256 * 256);
    write(&mut again, first, &mut files, |_| true);
    assert_eq!(again.root(), tiles.root());
    write(&mut again, size, &mut files, |_| true);
    let expected = tree(size);
    assert_eq!(again.root().unwrap().bytes(), &expected);
    check(&files, size, expected);
    if first > 0 {
        check(&files, first, tree(first));
    }
    only(&files, &[first, size]);
    for path in Tiles::unfinished(first) {
        assert!(files.keys().any(|file| file.starts_with(&format!("{path}.p/"))), "{path}");
    }
}

#[test]
fn tiles_at_every_edge_make_the_root_from_each_level_and_from_the_entries() {
    for size in [1, 2, 255, 256, 257, 511, 512, 513] {
        grown(size / 3, size);
        grown(size - 1, size);
    }
    for (first, size) in [(65_535, 65_536), (65_536, 65_537), (300, 66_000)] {
        grown(first, size);
    }
    // The example of the specification.
    let mut files = Files::new();
    write(&mut Tiles::default(), 70_000, &mut files, |_| true);
    for path in ["tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"] {
        assert!(files.contains_key(path), "{path}");
    }
    assert_eq!(files.len(), 2 * 274 + 3);
}

#[test]
fn a_bundle_of_which_an_entry_is_gone_is_not_there() {
    let mut files = Files::new();
    write(&mut Tiles::default(), 1000, &mut files, |n| n >= 300);
    let bundles: Vec<_> = files.keys().filter(|path| path.starts_with("tile/entries/")).collect();
    assert_eq!(bundles, ["tile/entries/002", "tile/entries/003.p/232"]);
    assert_eq!(root(&level(&files, 0, 1000)), tree(1000));
}

#[test]
fn what_is_not_as_it_was_left_is_not_taken_up() {
    let mut files = Files::new();
    write(&mut Tiles::default(), 1000, &mut files, |_| true);
    let resume = |files: &Files, size| Tiles::resume(size, &mut |path| files.get(path).cloned());
    assert!(resume(&files, 768).is_some());
    assert!(resume(&files, 1000).is_none(), "no number of full bundles");
    let edge = files.get_mut("tile/1/000.p/3").unwrap();
    edge.pop();
    assert!(resume(&files, 768).is_none());
    files.remove("tile/1/000.p/3");
    assert!(resume(&files, 768).is_none());
    assert_eq!(Tiles::default().root(), Some(Hash::empty_root()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn tiles_of_any_size_make_the_root(first in 0_u64..3000, more in 1_u64..3000) {
        grown(first, first + more);
    }
}

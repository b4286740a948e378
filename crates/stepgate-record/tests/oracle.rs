//! The tree's roots and proofs against another implementation of RFC 6962 (`ct-merkle`), both ways: what we prove it
//! believes, what it proves we believe, and what is wrong neither does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use stepgate_record::{Frontier, Hash, Tree, consistency_holds, inclusion_holds};

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

/// Of records as they may be: also empty, also such as begin like a node.
fn data(n: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed | 1;
    let mut next = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..n)
        .map(|_| {
            let length = usize::try_from(next() % 70).unwrap();
            (0..length).map(|_| (next() % 3) as u8).collect()
        })
        .collect()
}

fn theirs(data: &[Vec<u8>]) -> Theirs {
    let mut tree = Theirs::new();
    data.iter().for_each(|leaf| tree.push(leaf.clone()));
    tree
}

fn ours(data: &[Vec<u8>]) -> (Tree, Frontier) {
    let (mut tree, mut frontier) = (Tree::new(), Frontier::default());
    for leaf in data {
        tree.push(Hash::leaf(leaf));
        frontier.push(Hash::leaf(leaf));
    }
    (tree, frontier)
}

fn hash(root: &RootHash<Sha256>) -> Hash {
    Hash::from_bytes((*root.as_bytes()).into())
}

fn root(hash: &Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new((*hash.bytes()).into(), size)
}

fn flat(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.bytes()).collect()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks_exact(32).map(|chunk| Hash::from_bytes(chunk.try_into().unwrap())).collect()
}

fn they_include(leaf: &Vec<u8>, index: u64, size: u64, path: &[Hash], ours: &Hash) -> bool {
    let proof = InclusionProof::<Sha256>::try_from_bytes(flat(path));
    proof.is_ok_and(|proof| root(ours, size).verify_inclusion(leaf, index, &proof).is_ok())
}

fn they_agree(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(flat(path));
    proof.is_ok_and(|proof| root(new_root, new).verify_consistency(&root(old_root, old), &proof).is_ok())
}

#[test]
fn every_small_tree_is_theirs() {
    let data = data(40, 7);
    let (tree, _) = ours(&data);
    for size in 0..=40_usize {
        let new = size as u64;
        let theirs = theirs(&data[..size]);
        let new_root = tree.root(new).unwrap();
        assert_eq!(new_root, hash(&theirs.root()));
        for index in 0..size {
            let path = tree.inclusion_proof(index as u64, new).unwrap();
            assert_eq!(flat(&path), theirs.prove_inclusion(index).as_bytes(), "{index} of {size}");
        }
        for old in 1..=size {
            let proof = tree.consistency_proof(old as u64, new).unwrap();
            assert_eq!(flat(&proof), theirs.prove_consistency(size - old).as_bytes(), "{old} of {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn either_believes_the_others_proofs(n in 1_usize..2000, index in 0_usize..2000, old in 1_usize..2000, seed: u64) {
        let data = data(n, seed);
        let (index, old, size) = (index % n, 1 + old % n, n as u64);
        let (tree, frontier) = ours(&data);
        let theirs = theirs(&data);
        let new_root = hash(&theirs.root());
        prop_assert_eq!(tree.root(size), Some(new_root));
        prop_assert_eq!(frontier.root(), Some(new_root));
        let old_root = tree.root(old as u64).unwrap();

        let path = tree.inclusion_proof(index as u64, size).unwrap();
        prop_assert!(they_include(&data[index], index as u64, size, &path, &new_root));
        let path = hashes(theirs.prove_inclusion(index).as_bytes());
        prop_assert!(inclusion_holds(&Hash::leaf(&data[index]), index as u64, size, &path, &new_root));

        let proof = tree.consistency_proof(old as u64, size).unwrap();
        prop_assert!(they_agree(old as u64, &old_root, size, &new_root, &proof));
        let proof = hashes(theirs.prove_consistency(n - old).as_bytes());
        prop_assert!(consistency_holds(old as u64, &old_root, size, &new_root, &proof));
    }

    /// What was altered is believed by both or by neither (a leaf's twin at another place, say).
    #[test]
    fn they_agree_on_what_is_wrong(
        n in 2_usize..400, index in 0_usize..400, old in 1_usize..400, at in 0_usize..12, bit in 0_usize..256,
        what in 0_u8..7, seed: u64,
    ) {
        let data = data(n, seed);
        let (mut index, mut old, mut size) = ((index % n) as u64, (1 + old % n) as u64, n as u64);
        let (tree, _) = ours(&data);
        let leaf = &data[index as usize];
        let (mut new_root, mut old_root) = (tree.root(size).unwrap(), tree.root(old).unwrap());
        let mut path = tree.inclusion_proof(index, size).unwrap();
        let mut proof = tree.consistency_proof(old, size).unwrap();
        for list in [&mut path, &mut proof] {
            let at = at.min(list.len().saturating_sub(1));
            match what {
                0 => if let Some(hash) = list.get_mut(at) { *hash = flipped(hash, bit) },
                1 => { list.pop(); }
                2 => list.insert(at, Hash::leaf(b"more")),
                3 => list.reverse(),
                _ => {}
            }
        }
        match what {
            4 => { index = (index + 1) % size; old = old % size + 1; }
            5 => { size += 1; }
            6 => { new_root = flipped(&new_root, bit); old_root = flipped(&old_root, bit / 2); }
            _ => {}
        }
        prop_assert_eq!(
            inclusion_holds(&Hash::leaf(leaf), index, size, &path, &new_root),
            they_include(leaf, index, size, &path, &new_root)
        );
        prop_assert_eq!(
            consistency_holds(old, &old_root, size, &new_root, &proof),
            they_agree(old, &old_root, size, &new_root, &proof),
            "{} of {} by {}", old, size, what
        );
    }
}

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

//! The tree against a naive one straight from RFC 6962, and against Certificate Transparency's vectors.

use proptest::prelude::*;
use stepgate_record::{Frontier, Hash, Tree, consistency_holds, inclusion_holds};

/// RFC 6962 section 2.1, word for word.
#[expect(clippy::indexing_slicing, reason = "part of the test")]
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty_root(),
        [one] => *one,
        many => {
            let k = (1..).map(|power| 1_usize << power).take_while(|k| *k < many.len()).last().unwrap_or(1);
            Hash::node(&naive_root(&many[..k]), &naive_root(&many[k..]))
        }
    }
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|i| Hash::leaf(&i.to_be_bytes())).collect()
}

fn tree(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree
}

fn frontier(begin: usize, leaves: &[Hash]) -> Frontier {
    let mut frontier = Frontier::starting_at(begin as u64);
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let data: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes: Vec<Hash> = data.iter().map(|data| Hash::leaf(data)).collect();
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(frontier(0, &hashes[..size]).root().unwrap().to_string(), *root);
        assert_eq!(tree(&hashes).root(size as u64).unwrap().to_string(), *root);
    }
    let path: Vec<String> =
        tree(&hashes).inclusion_proof(0, 8).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        path,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
}

#[test]
fn every_proof_of_every_small_tree_holds_and_no_other_does() {
    let all = leaves(20);
    let tree = tree(&all);
    for new in 0..=20_u64 {
        let new_root = naive_root(&all[..new as usize]);
        assert_eq!(tree.root(new), Some(new_root));
        for index in 0..new {
            let path = tree.inclusion_proof(index, new).unwrap();
            for other in 0..new {
                let holds = inclusion_holds(&all[index as usize], other, new, &path, &new_root);
                assert_eq!(holds, other == index, "leaf {index} as {other} of {new}");
            }
        }
        for old in 0..=new {
            let proof = tree.consistency_proof(old, new).unwrap();
            let old_root = naive_root(&all[..old as usize]);
            assert!(consistency_holds(old, &old_root, new, &new_root, &proof), "{old} {new}");
            if old > 0 {
                let other = Hash::leaf(b"other");
                assert!(!consistency_holds(old, &other, new, &new_root, &proof));
                assert!(!consistency_holds(old, &old_root, new, &other, &proof));
            }
        }
        assert_eq!(tree.inclusion_proof(new, new), None);
    }
    assert_eq!(tree.root(21), None);
    assert_eq!(tree.consistency_proof(3, 21), None);
}

proptest! {
    #[test]
    fn frontier_and_tree_agree_with_the_naive_root(n in 0_usize..300, cut in 0_usize..300, end in 0_usize..300) {
        let all = leaves(n);
        let root = naive_root(&all);
        prop_assert_eq!(frontier(0, &all).root(), Some(root));
        prop_assert_eq!(tree(&all).root(n as u64), Some(root));

        // A part of the log, between what comes before and after it, leads to the same root.
        let cut = cut.min(n);
        let end = end.clamp(cut, n);
        let before = frontier(0, &all[..cut]);
        let after = frontier(end, &all[end..]);
        prop_assert!(after.hashes().len() <= 128);
        let mut whole = Frontier::from_hashes(0, cut as u64, &before.hashes()).unwrap();
        all[cut..end].iter().for_each(|leaf| whole.push(*leaf));
        let after = Frontier::from_hashes(end as u64, n as u64, &after.hashes()).unwrap();
        prop_assert_eq!(whole.extend(&after), Some(()));
        prop_assert_eq!(whole.root(), Some(root));
        prop_assert!(Frontier::from_hashes(0, n as u64 + 1, &whole.hashes()).is_none() || (n as u64).count_ones() == (n as u64 + 1).count_ones());
    }

    #[test]
    fn a_changed_proof_never_holds(n in 2_u64..200, index in 0_u64..200, old in 1_u64..200, at in 0_usize..8, bit in 0_usize..256) {
        let all = leaves(n as usize);
        let tree = tree(&all);
        let (index, old) = (index % n, 1 + old % (n - 1));
        let root = tree.root(n).unwrap();
        let flip = |proof: &mut Vec<Hash>| {
            let at = at % proof.len();
            let mut bytes = *proof[at].bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            proof[at] = Hash::from_bytes(bytes);
        };

        let mut path = tree.inclusion_proof(index, n).unwrap();
        prop_assert!(inclusion_holds(&all[index as usize], index, n, &path, &root));
        flip(&mut path);
        prop_assert!(!inclusion_holds(&all[index as usize], index, n, &path, &root));
        path.pop();
        prop_assert!(!inclusion_holds(&all[index as usize], index, n, &path, &root));

        let mut proof = tree.consistency_proof(old, n).unwrap();
        let old_root = tree.root(old).unwrap();
        prop_assert!(consistency_holds(old, &old_root, n, &root, &proof));
        flip(&mut proof);
        prop_assert!(!consistency_holds(old, &old_root, n, &root, &proof));
    }
}

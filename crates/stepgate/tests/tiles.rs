//! The log as a tiled log (C2SP tlog-tiles), written while it grows, and read by readers that know only that format.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use stepgate_record::{Checkpoint, Frontier, Hash, Record, SignedNote, VerifierKey};
use stepgate_testkit::Person;
use support::{EVERYTHING, NOTHING_LABELLED, World, repository};

fn tiles(world: &World, dir: &Path) -> String {
    world.gate.run(["audit", "tiles", dir.to_str().unwrap()], "").unwrap().ok().unwrap()
}

fn refused(world: &World, dir: &Path) -> String {
    let refused = world.gate.run(["audit", "tiles", dir.to_str().unwrap()], "").unwrap();
    assert_eq!(refused.status, 2, "{}", refused.text());
    refused.text()
}

/// All files below a directory, and what tells whether one was written again.
fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), fs::metadata(&path).unwrap().ino());
        }
    }
    files
}

fn root(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    hashes.iter().for_each(|hash| frontier.push(*hash));
    frontier.root().unwrap()
}

/// The files of a level with so many hashes or entries; of fewer than a thousand tiles.
fn level(dir: &Path, level: &str, count: usize) -> Vec<Vec<u8>> {
    let name = |index: usize| match count - 256 * index {
        256.. => format!("{index:03}"),
        width => format!("{index:03}.p/{width}"),
    };
    let path = |index| dir.join("tile").join(level).join(name(index));
    (0..count.div_ceil(256)).map(|index| fs::read(path(index)).unwrap()).collect()
}

/// Checks the whole directory by its checkpoint, and returns the tree's size.
fn check(dir: &Path) -> usize {
    let vkey: VerifierKey = fs::read_to_string(dir.join("vkey")).unwrap().trim().parse().unwrap();
    let note: SignedNote = fs::read_to_string(dir.join("checkpoint")).unwrap().parse().unwrap();
    let tree = Checkpoint::verified(&note, &vkey).unwrap();
    let size = usize::try_from(tree.size).unwrap();
    let hashes = |number: &str, count| -> Vec<Hash> {
        let tiles = level(dir, number, count).concat();
        tiles.chunks(32).map(|hash| Hash::from_bytes(hash.try_into().unwrap())).collect()
    };
    let leaves = hashes("0", size);
    assert_eq!((leaves.len(), root(&leaves)), (size, tree.root));
    if size >= 256 {
        let above: Vec<_> = leaves.chunks_exact(256).map(root).collect();
        assert_eq!(hashes("1", size / 256), above);
    }
    let mut entries = 0;
    for bundle in level(dir, "entries", size) {
        let mut rest = &bundle[..];
        while let [high, low, more @ ..] = rest {
            let (entry, more) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            assert_eq!(Hash::leaf(entry), leaves[entries]);
            Record::decode(entry).unwrap();
            (entries, rest) = (entries + 1, more);
        }
        assert!(rest.is_empty());
    }
    assert_eq!(entries, size);
    assert!(files(dir).keys().all(|path| !path.to_string_lossy().ends_with(".unfinished")));
    elsewhere(dir);
    size
}

/// The same by a reader of somebody else's.
fn elsewhere(dir: &Path) {
    let script = repository().join("tests/exports/tiles.py");
    // It needs a newer Python than others do: an environment of its own.
    let python = repository().join(".work/tlog/bin/python");
    let Ok(output) = Command::new(python).arg(&script).arg(dir).output() else {
        return stepgate_testkit::skip("tlog", "tests/tools/exports.sh");
    };
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.starts_with("ok: "), "{said}{why}");
    eprintln!("{said}");
}

/// A gate that lets everything through, as often as it comes.
fn lenient() -> World {
    let mut world = World::not_serving(|_| EVERYTHING.to_owned());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.gate.serve().unwrap();
    world
}

fn grow(world: &World, dana: &Person, statements: usize) {
    let mut psql = world.psql(dana);
    for _ in 0..statements {
        psql.run("select 1;").unwrap();
    }
}

#[test]
fn a_directory_of_tiles_grows_with_the_log() {
    let mut world = lenient();
    let dana = world.dana();
    let dir = world.tree.path().join("tiles");
    assert!(tiles(&world, &dir).contains("tree size "));
    let first = check(&dir);
    assert!(first < 256);
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let exported = world.records().into_iter().rfind(|record| record["type"] == "audit.exported").unwrap();
    assert_eq!(
        (&exported["export"]["format"], &exported["export"]["redacted"]),
        (&"tiles".into(), &true.into())
    );
    assert!(exported["records"].as_u64().unwrap() + 1 >= first as u64);

    // Partial tiles of a checkpoint stay until the tile is full; with nothing done in between, too.
    tiles(&world, &dir);
    let second = check(&dir);
    assert!(second > first && second < 256);
    assert!(dir.join(format!("tile/entries/000.p/{first}")).exists());

    grow(&world, &dana, 200);
    tiles(&world, &dir);
    let third = check(&dir);
    assert!(third > 256, "{third}");
    for tile in ["tile/0/000", "tile/entries/000"] {
        assert!(dir.join(tile).exists() && !dir.join(format!("{tile}.p")).exists(), "{tile}");
    }

    // What is full is not written again, nor is what stands where a run was cut off before its checkpoint.
    let before = files(&dir);
    fs::remove_file(dir.join("checkpoint")).unwrap();
    fs::write(dir.join("tile/0/001.unfinished"), "cut off").unwrap();
    grow(&world, &dana, 150);
    tiles(&world, &dir);
    tiles(&world, &dir);
    let after = files(&dir);
    assert!(check(&dir) > third + 256);
    for (path, inode) in before.iter().filter(|(path, _)| path.starts_with(dir.join("tile"))) {
        assert_eq!(after.get(path).unwrap_or(inode), inode, "{}", path.display());
    }
    // No name, address or reason: what they stand for is not given out.
    for path in after.keys().filter(|path| !path.ends_with("keys.json")) {
        let bytes = fs::read(path).unwrap();
        for word in ["\"dana\"", "127.0.0.1"] {
            assert!(
                !bytes.windows(word.len()).any(|found| found == word.as_bytes()),
                "{word}: {}",
                path.display()
            );
        }
    }

    // Also where no gate serves.
    world.gate.terminate().unwrap();
    tiles(&world, &dir);
    check(&dir);
}

#[test]
fn what_is_not_what_an_earlier_run_left_is_refused() {
    let world = lenient();
    let dana = world.dana();
    let dir = world.tree.path().join("tiles");
    grow(&world, &dana, 150);
    tiles(&world, &dir);
    assert!(check(&dir) > 256);
    assert!(refused(&world, world.tree.path()).contains("holds something else"));
    let altered = |path: &str, at: usize, what: &str| {
        let path = dir.join(path);
        let good = fs::read(&path).unwrap();
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let said = refused(&world, &dir);
        assert!(said.contains(what), "{}: {said}", path.display());
        fs::write(&path, good).unwrap();
    };
    altered("checkpoint", 60, "checkpoint that was altered");
    altered("keys.json", 60, "keys.json");
    altered("tile/1/000.p/1", 0, "another history");
    fs::rename(dir.join("tile/1/000.p"), dir.join("tile/1/gone")).unwrap();
    assert!(refused(&world, &dir).contains("lacks tiles"));
    fs::rename(dir.join("tile/1/gone"), dir.join("tile/1/000.p")).unwrap();
    // As after a run that was cut off, a full tile is made again, and must be the same.
    let note = fs::read(dir.join("checkpoint")).unwrap();
    fs::remove_file(dir.join("checkpoint")).unwrap();
    altered("tile/0/000", 0, "another tile/0/000 than the log");
    altered("tile/entries/000", 100, "another tile/entries/000 than the log");
    fs::write(dir.join("checkpoint"), note).unwrap();
    tiles(&world, &dir);
    check(&dir);
    // That of another log, shorter or longer.
    let other = lenient();
    assert!(refused(&other, &dir).contains("the log has "));
    grow(&other, &other.dana(), 200);
    assert!(refused(&other, &dir).contains("another log"));
    check(&dir);
}

#[test]
fn one_writes_to_a_directory_of_tiles_at_a_time() {
    let world = lenient();
    let dir = world.tree.path().join("tiles");
    tiles(&world, &dir);
    let held = fs::File::open(&dir).unwrap();
    held.lock().unwrap();
    let refused = world.gate.run(["audit", "tiles", dir.to_str().unwrap()], "").unwrap();
    assert_eq!(refused.status, 1, "{}", refused.text());
    assert!(refused.text().contains("another `stepgate audit tiles` is writing"), "{}", refused.text());
    drop(held);
    tiles(&world, &dir);
    check(&dir);
}

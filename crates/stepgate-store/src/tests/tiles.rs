//! What the log gives out for tiles, over deleted records too.

use stepgate_record::{Checkpoint, Event, Hash, Tile, Tiles};

use super::retention::{old, prune};
use crate::Log;

/// The tree of what is given out from `from` on, and how many lines of it are hashes.
fn taken(log: &Log, from: u64, mut tiles: Tiles) -> (Vec<Tile>, Tiles, u64) {
    let mut lines = Vec::new();
    let exports = || {
        // Between them, segments are sealed.
        let mut exports = Vec::new();
        log.replay(log.floor(), &mut |_, record| {
            if let Event::AuditExported { export: Some(export), .. } = &record.event {
                exports.push(export.clone());
            }
        })
        .unwrap();
        exports
    };
    let before = exports().len();
    let mut begin = |_: &_| {
        // Before anything leaves, it is on disk that it will.
        let said = exports();
        assert_eq!(said.len(), before + 1);
        let export = said.last().unwrap();
        assert_eq!((export.format.as_str(), export.redacted), ("tiles", true));
        assert_eq!(export.first, Some(from.max(log.floor())));
        Ok(())
    };
    let head = log.tiles(from, "0c".repeat(16), None, &mut begin, &mut lines).unwrap();
    let (mut full, mut hashes) = (Vec::new(), 0);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if line.starts_with(b"{") {
            full.extend(tiles.push(Hash::leaf(line), Some(line)));
        } else {
            hashes += 1;
            full.extend(tiles.push(std::str::from_utf8(line).unwrap().parse().unwrap(), None));
        }
    }
    let tree = Checkpoint::of(&head.note).unwrap();
    assert_eq!((tiles.size(), tiles.root()), (tree.size, Some(tree.root)));
    assert_eq!((head.size, head.floor), (tree.size, log.floor()));
    (full, tiles, hashes)
}

#[test]
fn tiles_of_a_log_of_which_a_part_was_deleted_have_its_root() {
    let (_dir, log) = old();
    let (_, before, hashes) = taken(&log, 0, Tiles::default());
    assert_eq!(hashes, 0);
    prune(&log, 1);
    assert!(log.floor() > 0);
    super::sealing::fill(&log, 400);
    let (full, after, hashes) = taken(&log, 0, Tiles::default());
    assert_eq!(hashes, log.floor());
    let levels: Vec<_> = full.iter().map(|tile| (tile.level, tile.index)).collect();
    assert_eq!(levels, [(Some(0), 0), (None, 1), (Some(0), 1)], "the first bundle lacks entries");
    // It goes on from where it was.
    let (_, again, hashes) = taken(&log, after.size(), after.clone());
    assert!(hashes == 0 && again.size() > after.size() && after.size() > before.size());
    let mut out = Vec::new();
    let missing = log.tiles(log.len() + 5, "0c".repeat(16), None, &mut |_| Ok(()), &mut out);
    assert!(missing.unwrap_err().to_string().contains("the log has "));
    assert!(out.is_empty());
}

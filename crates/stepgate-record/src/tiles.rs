//! A log as static files (C2SP tlog-tiles): the tree's hashes in tiles of 256, and the entries in bundles of as many.
//! They are made as the leaves come; what is unfinished meanwhile is one tile a level.

use crate::{Frontier, Hash};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// The same, as a length.
const WIDTH: usize = 256;

/// A resource of a tiled log, full or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The level of its hashes; `None` for a bundle of entries.
    pub level: Option<usize>,
    /// Which of that level.
    pub index: u64,
    /// How many hashes or entries, from 1 on.
    pub width: usize,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Tile {
    /// Whether it will never change.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Its path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        path(self.level, self.index, self.width)
    }
}

/// The tiles and bundles of a log so far that are not full yet.
#[derive(Debug, Clone)]
pub struct Tiles {
    size: u64,
    /// The hashes of the last tile of each level, fewer than fill it.
    levels: Vec<Vec<Hash>>,
    /// The last bundle; `None` where an entry of it is not there.
    bundle: Option<Vec<u8>>,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { size: 0, levels: Vec::new(), bundle: Some(Vec::new()) }
    }
}

impl Tiles {
    /// As they were after `size` leaves, a number of full bundles, from the tiles that were written then or later.
    /// `read` gives the bytes at a path. `None` if `size` is no such number, or a tile is not there or not as wide.
    #[must_use]
    pub fn resume(size: u64, read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let mut tiles = Self { size, ..Self::default() };
        let mut hashes = size;
        while hashes > 0 {
            let level = tiles.levels.len();
            let width = width(hashes);
            let mut row = Vec::new();
            if width > 0 {
                if level == 0 {
                    return None;
                }
                let bytes = read(&path(Some(level), hashes / TILE_WIDTH, width))?;
                row = bytes
                    .chunks(32)
                    .map(|hash| Some(Hash::from_bytes(hash.try_into().ok()?)))
                    .collect::<Option<_>>()?;
                if row.len() != width {
                    return None;
                }
            }
            tiles.levels.push(row);
            hashes /= TILE_WIDTH;
        }
        Some(tiles)
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree over them, from the unfinished tiles alone.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let hashes: Vec<_> = self.levels.iter().rev().flat_map(|row| over(row).hashes()).collect();
        Frontier::from_hashes(0, self.size, &hashes)?.root()
    }

    /// Appends a leaf, and its entry where that is there and no longer than 65,535 bytes. Returns what became full.
    pub fn push(&mut self, leaf: Hash, entry: Option<&[u8]>) -> Vec<Tile> {
        let index = self.size / TILE_WIDTH;
        self.size = self.size.saturating_add(1);
        let length = entry.and_then(|entry| u16::try_from(entry.len()).ok());
        if let (Some(bundle), Some(entry), Some(length)) = (&mut self.bundle, entry, length) {
            bundle.extend_from_slice(&length.to_be_bytes());
            bundle.extend_from_slice(entry);
        } else {
            self.bundle = None;
        }
        let mut full = Vec::new();
        if self.size.is_multiple_of(TILE_WIDTH)
            && let Some(bytes) = self.bundle.replace(Vec::new())
        {
            full.push(Tile { level: None, index, width: WIDTH, bytes });
        }
        let (mut hash, mut level, mut index) = (leaf, 0, index);
        loop {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return full };
            row.push(hash);
            if row.len() < WIDTH {
                return full;
            }
            let row = std::mem::take(row);
            full.push(tile(level, index, &row));
            let Some(root) = over(&row).root() else { return full };
            (hash, level, index) = (root, level + 1, index / TILE_WIDTH);
        }
    }

    /// What is not full: at most one of each level, and one bundle. Those that would be empty are none.
    #[must_use]
    pub fn partial(&self) -> Vec<Tile> {
        let mut partial = Vec::new();
        let (width, mut index) = (width(self.size), self.size / TILE_WIDTH);
        if let Some(bytes) = self.bundle.clone().filter(|_| width > 0) {
            partial.push(Tile { level: None, index, width, bytes });
        }
        for (level, row) in self.levels.iter().enumerate() {
            if !row.is_empty() {
                partial.push(tile(level, index, row));
            }
            index /= TILE_WIDTH;
        }
        partial
    }

    /// Paths of the tiles and the bundle that were not full when there were `size` leaves, as they are once they are.
    #[must_use]
    pub fn unfinished(size: u64) -> Vec<String> {
        let mut paths = Vec::new();
        let (mut level, mut hashes) = (0, size);
        while hashes > 0 {
            if width(hashes) > 0 {
                paths.extend((level == 0).then(|| path(None, hashes / TILE_WIDTH, WIDTH)));
                paths.push(path(Some(level), hashes / TILE_WIDTH, WIDTH));
            }
            (level, hashes) = (level + 1, hashes / TILE_WIDTH);
        }
        paths
    }
}

fn tile(level: usize, index: u64, row: &[Hash]) -> Tile {
    let bytes = row.iter().flat_map(|hash| *hash.bytes()).collect();
    Tile { level: Some(level), index, width: row.len(), bytes }
}

/// How many of so many hashes are in a tile that is not full.
fn width(hashes: u64) -> usize {
    usize::try_from(hashes % TILE_WIDTH).unwrap_or(0)
}

/// The complete subtrees over neighbours of one height.
fn over(row: &[Hash]) -> Frontier {
    let mut frontier = Frontier::default();
    row.iter().for_each(|hash| frontier.push(*hash));
    frontier
}

fn path(level: Option<usize>, index: u64, width: usize) -> String {
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    // Three digits an element, and an `x` before each but the last.
    let (mut above, mut name) = (index / 1000, format!("{:03}", index % 1000));
    while above > 0 {
        name = format!("x{:03}/{name}", above % 1000);
        above /= 1000;
    }
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{name}{partial}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path(Some(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(None, 1_234_067, 255), "tile/entries/x001/x234/067.p/255");
        assert_eq!(path(Some(2), 0, 1), "tile/2/000.p/1");
        assert_eq!(path(Some(7), 1000, 256), "tile/7/x001/000");
        assert_eq!(path(Some(1), 1_000_000, 256), "tile/1/x001/x000/000");
    }
}

//! What a database had when its map came into force, kept so that what comes later can be told.
//!
//! The gate writes it when it first sees a database under a map, and anew when the map's entries for that database
//! change: whoever changed them is taken to have seen what there was. Names of columns are whatever somebody typed, so
//! the file has salted hashes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stepgate_policy::Listed;
use stepgate_sql::Catalog;
use stepgate_types::{ColumnName, RelationName};

/// The largest file that is read, in bytes: some hundred thousand columns.
const MAX_FILE: u64 = 64 << 20;
/// The most things that are remembered to have been told.
const MAX_TOLD: usize = 50_000;

/// A database at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    version: u32,
    /// When it was taken, RFC 3339.
    pub(crate) taken: String,
    /// Hash of the map's entries.
    map: String,
    salt: String,
    /// Hashes of names and types, by OID and attribute number; 0 is the table itself.
    places: BTreeMap<String, (String, String)>,
    /// What has been told already: hashes.
    told: BTreeSet<String>,
}

/// A difference between a database and its map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) what: What,
    pub(crate) relation: RelationName,
    /// The column; none where it is about the table.
    pub(crate) column: Option<String>,
    /// What it is called now, or was.
    pub(crate) other: Option<String>,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// The map lists a table that is not there.
    TableGone,
    /// The map labels a column that is not there.
    ColumnGone,
    /// What the map lists has another name now.
    Renamed,
    /// What the map labels has another type now.
    Retyped,
    /// A table that is in no entry came after the map.
    NewTable,
    /// A column of a listed table that its entry does not name came after the map.
    NewColumn,
    /// The same, and when it came is not known.
    UnlistedTable,
    /// The same.
    UnlistedColumn,
}

impl What {
    /// In a word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TableGone => "table-gone",
            Self::ColumnGone => "column-gone",
            Self::Renamed => "renamed",
            Self::Retyped => "retyped",
            Self::NewTable => "new-table",
            Self::NewColumn => "new-column",
            Self::UnlistedTable => "unlisted-table",
            Self::UnlistedColumn => "unlisted-column",
        }
    }
}

/// A catalog's tables by name.
struct Now<'c> {
    tables: BTreeMap<&'c RelationName, (u32, Vec<stepgate_sql::ListedColumn<'c>>)>,
    by_oid: BTreeMap<u32, &'c RelationName>,
}

impl<'c> Now<'c> {
    fn of(catalog: &'c Catalog) -> Self {
        let mut now = Self { tables: BTreeMap::new(), by_oid: BTreeMap::new() };
        for table in catalog.tables() {
            now.by_oid.insert(table.oid(), table.name());
            now.tables.insert(table.name(), (table.oid(), table.columns().collect()));
        }
        now
    }
}

/// Where the baseline of a database is kept.
pub(crate) fn file(data: &Path, database: &str) -> PathBuf {
    let name = data_encoding::HEXLOWER.encode(&Sha256::digest(database.as_bytes()));
    data.join(format!("catalog-{}.json", name.get(..16).unwrap_or(&name)))
}

impl Baseline {
    /// Takes it. `salt`: random.
    pub(crate) fn take(catalog: &Catalog, listing: &[Listed<'_>], salt: [u8; 16], taken: String) -> Self {
        let mut baseline = Self {
            version: 1,
            taken,
            map: entries(listing),
            salt: data_encoding::HEXLOWER.encode(&salt),
            places: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        for table in catalog.tables() {
            let name = table.name();
            baseline.places.insert(place(table.oid(), 0), (baseline.hash(name, None), String::new()));
            for column in table.columns() {
                let hashes = (baseline.hash(name, Some(column.name)), baseline.of_type(column.of));
                baseline.places.insert(place(table.oid(), column.number), hashes);
            }
        }
        baseline
    }

    /// As it was kept; `None`: it never was.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(crate) fn read(file: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::metadata(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(meta) if meta.len() > MAX_FILE => return Err(std::io::Error::other("the file is too large")),
            Ok(_) => {}
        }
        let baseline: Self = serde_json::from_slice(&std::fs::read(file)?)?;
        if baseline.version != 1 {
            return Err(std::io::Error::other("it is of another version"));
        }
        Ok(Some(baseline))
    }

    /// Keeps it: whole, or as it was before.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, file: &Path) -> std::io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        // Of mode 0600.
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut new, self)?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    }

    /// Whether it was taken under these entries.
    pub(crate) fn is_under(&self, listing: &[Listed<'_>]) -> bool {
        self.map == entries(listing)
    }

    /// Takes note that somebody is told of this. Whether it is news.
    pub(crate) fn tell(&mut self, change: &Change) -> bool {
        let key = self.told_as(change);
        if self.told.contains(&key) {
            return false;
        }
        // Where there is no more room, it is told again and again rather than never.
        if self.told.len() < MAX_TOLD {
            self.told.insert(key);
        }
        true
    }

    /// What has been told and is so no more may be told again, but for what is new: it stays so however often a program
    /// makes it anew.
    pub(crate) fn forget(&mut self, but: &[Change]) {
        let still: BTreeSet<String> = but.iter().map(|change| self.told_as(change)).collect();
        self.told.retain(|key| key.starts_with("new-") || still.contains(key));
    }

    /// What has been told, under another map.
    pub(crate) fn with_told_of(mut self, before: &Self) -> Self {
        if self.salt == before.salt {
            self.told.clone_from(&before.told);
        }
        self
    }

    /// Its salt, so that a later one can be compared with it.
    pub(crate) fn salt(&self) -> Option<[u8; 16]> {
        data_encoding::HEXLOWER.decode(self.salt.as_bytes()).ok()?.try_into().ok()
    }

    fn told_as(&self, change: &Change) -> String {
        format!("{}:{}", change.what.as_str(), self.hash(&change.relation, change.column.as_deref()))
    }

    fn hash(&self, relation: &RelationName, column: Option<&str>) -> String {
        let name = column.map_or_else(
            || relation.to_string(),
            |column| ColumnName::new(relation.clone(), column).to_string(),
        );
        self.hashed(name.as_bytes())
    }

    fn of_type(&self, (oid, modifier): (u32, i32)) -> String {
        self.hashed(format!("{oid}/{modifier}").as_bytes())
    }

    /// The first half of SHA-256 with the salt in front.
    fn hashed(&self, text: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.salt.as_bytes());
        hash.update(text);
        let mut hex = data_encoding::HEXLOWER.encode(&hash.finalize());
        hex.truncate(32);
        hex
    }

    /// Every name that there was.
    fn names(&self) -> BTreeSet<&str> {
        self.places.values().map(|(name, _)| name.as_str()).collect()
    }

    /// By OID and attribute number, what had that name.
    fn place_of(&self, hash: &str) -> Option<(u32, i32)> {
        let (place, _) = self.places.iter().find(|(_, (name, _))| name == hash)?;
        let (oid, number) = place.split_once('.')?;
        Some((oid.parse().ok()?, number.parse().ok()?))
    }
}

fn place(oid: u32, number: i32) -> String {
    format!("{oid}.{number}")
}

/// Hash of what a map says of a database.
fn entries(listing: &[Listed<'_>]) -> String {
    let mut hash = Sha256::new();
    for listed in listing {
        let class = listed.unlisted_columns.map(|class| class.name.as_str());
        hash.update(format!(
            "{}\0{:?}\0{:?}\0{:?}\n",
            listed.relation, listed.columns, listed.subject_key, class
        ));
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

/// Holds a catalog against the map's entries for it, and against what there was when they came into force.
pub(crate) fn compare(catalog: &Catalog, listing: &[Listed<'_>], baseline: Option<&Baseline>) -> Vec<Change> {
    let now = Now::of(catalog);
    let known = baseline.map(Baseline::names);
    let mut changes = Vec::new();
    let mut change = |what, relation: &RelationName, column: Option<&str>, other: Option<String>| {
        let (relation, column) = (relation.clone(), column.map(str::to_owned));
        changes.push(Change { what, relation, column, other });
    };
    for listed in listing {
        let name = listed.relation;
        let Some((oid, columns)) = now.tables.get(name) else {
            // A partition, which is no table of its own here, is there all the same.
            if catalog.relation_exists(name) {
                continue;
            }
            let renamed = baseline.and_then(|baseline| {
                let (oid, _) = baseline.place_of(&baseline.hash(name, None))?;
                now.by_oid.get(&oid).map(ToString::to_string)
            });
            let what = if renamed.is_some() { What::Renamed } else { What::TableGone };
            change(what, name, None, renamed);
            continue;
        };
        for labelled in listed.columns.keys() {
            let found = columns.iter().find(|column| column.name == *labelled);
            let Some(found) = found else {
                let renamed = baseline.and_then(|baseline| {
                    let (was, number) = baseline.place_of(&baseline.hash(name, Some(labelled)))?;
                    let column = columns.iter().find(|column| was == *oid && column.number == number)?;
                    Some(column.name.to_owned())
                });
                let what = if renamed.is_some() { What::Renamed } else { What::ColumnGone };
                change(what, name, Some(labelled), renamed);
                continue;
            };
            let before = baseline.and_then(|baseline| {
                let was = baseline.places.get(&place(*oid, found.number))?;
                Some(was.1 != baseline.of_type(found.of) && was.0 == baseline.hash(name, Some(found.name)))
            });
            if before == Some(true) {
                change(What::Retyped, name, Some(labelled), None);
            }
        }
        for column in columns.iter().filter(|column| !listed.columns.contains_key(column.name)) {
            match (baseline, &known) {
                (Some(baseline), Some(known)) => {
                    let stands = baseline.places.contains_key(&place(*oid, column.number));
                    if !stands && !known.contains(baseline.hash(name, Some(column.name)).as_str()) {
                        change(What::NewColumn, name, Some(column.name), None);
                    }
                }
                _ => change(What::UnlistedColumn, name, Some(column.name), None),
            }
        }
    }
    let is_listed = |name: &RelationName| listing.iter().any(|listed| listed.relation == name);
    for (name, (oid, _)) in now.tables.iter().filter(|(name, _)| !is_listed(name)) {
        match (baseline, &known) {
            (Some(baseline), Some(known)) => {
                let stands = baseline.places.contains_key(&place(*oid, 0));
                if !stands && !known.contains(baseline.hash(name, None).as_str()) {
                    change(What::NewTable, name, None, None);
                }
            }
            _ => change(What::UnlistedTable, name, None, None),
        }
    }
    changes.sort();
    changes
}

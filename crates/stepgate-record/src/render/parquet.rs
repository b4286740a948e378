//! Apache Parquet: flat columns, PLAIN and uncompressed, one data page a column and row group. The subset that every
//! reader has, and small enough to be the same bytes each time.

use std::io::{self, Write};

use super::row::{Cell, Kind, Row, columns};
use super::thrift::{Compact, Type, varint};

/// A row group ends after so many rows …
const MAX_ROWS: usize = 65_536;

/// … or bytes of values, which wait in memory.
const MAX_BYTES: usize = 32 * 1024 * 1024;

const MAGIC: &[u8; 4] = b"PAR1";

/// `Type` in parquet.thrift.
const INT64: i32 = 2;
const BYTE_ARRAY: i32 = 6;

/// `Encoding`.
const PLAIN: i32 = 0;
const RLE: i32 = 3;

/// Writes rows.
pub struct ParquetWriter<W> {
    out: W,
    written: i64,
    columns: Vec<Chunk>,
    rows: usize,
    groups: Vec<Group>,
}

/// Values of one column that wait for their row group to end.
#[derive(Default)]
struct Chunk {
    values: Vec<u8>,
    /// Runs of rows without (`false`) and with a value.
    runs: Vec<(bool, u64)>,
}

struct Group {
    rows: i64,
    begin: i64,
    chunks: Vec<Place>,
}

/// Where a column chunk is.
struct Place {
    offset: i64,
    bytes: i64,
}

impl<W: Write> ParquetWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let columns = columns().iter().map(|_| Chunk::default()).collect();
        Ok(Self { out, written: 4, columns, rows: 0, groups: Vec::new() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let mut bytes = 0_usize;
        for (chunk, cell) in self.columns.iter_mut().zip(row.cells()) {
            chunk.push(&cell);
            bytes = bytes.saturating_add(chunk.values.len());
        }
        self.rows = self.rows.saturating_add(1);
        if self.rows >= MAX_ROWS || bytes >= MAX_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.end_group()?;
        }
        let footer = self.footer();
        self.out.write_all(&footer)?;
        let length = u32::try_from(footer.len()).map_err(|_| too_large())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_group(&mut self) -> io::Result<()> {
        let rows = i32::try_from(self.rows).map_err(|_| too_large())?;
        let mut group = Group { rows: rows.into(), begin: self.written, chunks: Vec::new() };
        for chunk in &mut self.columns {
            let page = std::mem::take(chunk).page(rows)?;
            self.out.write_all(&page)?;
            let bytes = i64::try_from(page.len()).map_err(|_| too_large())?;
            group.chunks.push(Place { offset: self.written, bytes });
            self.written = self.written.saturating_add(bytes);
        }
        self.groups.push(group);
        self.rows = 0;
        Ok(())
    }

    /// `FileMetaData`.
    fn footer(&self) -> Vec<u8> {
        let mut meta = Compact::default();
        meta.begin();
        meta.i32(1, 1);
        meta.list(2, columns().len().saturating_add(1), Type::Struct);
        meta.begin();
        meta.text(4, "record");
        meta.i32(5, i32::try_from(columns().len()).unwrap_or(i32::MAX));
        meta.end();
        columns().iter().for_each(|(name, kind)| schema_element(&mut meta, name, *kind));
        meta.i64(3, self.groups.iter().map(|group| group.rows).sum());
        meta.list(4, self.groups.len(), Type::Struct);
        self.groups.iter().for_each(|group| group.write(&mut meta));
        meta.text(6, "stepgate version 1");
        meta.end();
        meta.into_bytes()
    }
}

impl Chunk {
    fn push(&mut self, cell: &Cell) {
        let there = !matches!(cell, Cell::Null);
        match self.runs.last_mut() {
            Some((last, length)) if *last == there => *length = length.saturating_add(1),
            _ => self.runs.push((there, 1)),
        }
        match cell {
            Cell::Null => {}
            Cell::Time(at) => self.values.extend_from_slice(&at.micros().to_le_bytes()),
            Cell::Number(number) => self.values.extend_from_slice(&number.to_le_bytes()),
            Cell::Text(text) => {
                // A record has 4 KiB.
                let length = u32::try_from(text.len()).unwrap_or(0);
                self.values.extend_from_slice(&length.to_le_bytes());
                self.values.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// A data page (version 1) and its header.
    fn page(self, rows: i32) -> io::Result<Vec<u8>> {
        // Definition levels of one bit: runs in the RLE/bit-packing hybrid.
        let mut levels = Vec::new();
        for (there, length) in self.runs {
            varint(length << 1, &mut levels);
            levels.push(there.into());
        }
        let size = levels.len().saturating_add(self.values.len()).saturating_add(4);
        let size = i32::try_from(size).map_err(|_| too_large())?;
        let mut header = Compact::default();
        header.begin();
        header.i32(1, 0);
        header.i32(2, size);
        header.i32(3, size);
        header.inner(5);
        header.i32(1, rows);
        header.i32(2, PLAIN);
        header.i32(3, RLE);
        header.i32(4, RLE);
        header.end();
        header.end();
        let mut page = header.into_bytes();
        page.extend_from_slice(&u32::try_from(levels.len()).map_err(|_| too_large())?.to_le_bytes());
        page.append(&mut levels);
        page.extend_from_slice(&self.values);
        Ok(page)
    }
}

impl Group {
    /// `RowGroup`.
    fn write(&self, meta: &mut Compact) {
        meta.begin();
        meta.list(1, self.chunks.len(), Type::Struct);
        for (place, (name, kind)) in self.chunks.iter().zip(columns()) {
            meta.begin();
            meta.i64(2, place.offset);
            meta.inner(3);
            meta.i32(1, physical(*kind));
            meta.list(2, 2, Type::I32);
            meta.entry_i32(PLAIN);
            meta.entry_i32(RLE);
            meta.list(3, 1, Type::Binary);
            meta.entry_text(name);
            meta.i32(4, 0);
            meta.i64(5, self.rows);
            meta.i64(6, place.bytes);
            meta.i64(7, place.bytes);
            meta.i64(9, place.offset);
            meta.end();
            meta.end();
        }
        let bytes = self.chunks.iter().map(|place| place.bytes).sum();
        meta.i64(2, bytes);
        meta.i64(3, self.rows);
        meta.i64(5, self.begin);
        meta.i64(6, bytes);
        meta.end();
    }
}

const fn physical(kind: Kind) -> i32 {
    match kind {
        Kind::Time | Kind::Number => INT64,
        Kind::Text => BYTE_ARRAY,
    }
}

/// `SchemaElement`, by old (`ConvertedType`) and new (`LogicalType`) readers' words.
fn schema_element(meta: &mut Compact, name: &str, kind: Kind) {
    meta.begin();
    meta.i32(1, physical(kind));
    // OPTIONAL.
    meta.i32(3, 1);
    meta.text(4, name);
    match kind {
        Kind::Number => {}
        Kind::Text => {
            // UTF8, STRING.
            meta.i32(6, 0);
            meta.inner(10);
            meta.inner(1);
            meta.end();
            meta.end();
        }
        Kind::Time => {
            // TIMESTAMP_MICROS, TIMESTAMP(isAdjustedToUTC, MICROS).
            meta.i32(6, 10);
            meta.inner(10);
            meta.inner(8);
            meta.bool(1, true);
            meta.inner(2);
            meta.inner(2);
            meta.end();
            meta.end();
            meta.end();
            meta.end();
        }
    }
    meta.end();
}

fn too_large() -> io::Error {
    io::Error::other("too large for a Parquet file")
}

//! Apache Thrift's compact protocol, as far as Parquet's metadata needs it.

/// Types of fields and list entries.
#[derive(Clone, Copy)]
pub(super) enum Type {
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// Writes structs; each is begun, filled in the order of its fields' numbers, and ended.
#[derive(Default)]
pub(super) struct Compact {
    out: Vec<u8>,
    /// Number of the last field, of each struct that is open.
    last: Vec<u8>,
}

impl Compact {
    pub(super) fn begin(&mut self) {
        self.last.push(0);
    }

    pub(super) fn end(&mut self) {
        self.out.push(0);
        self.last.pop();
    }

    /// Whole of a struct.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn field(&mut self, number: u8, kind: u8) {
        let Some(last) = self.last.last_mut() else { return };
        let step = number.saturating_sub(*last);
        *last = number;
        // No struct here has gaps of more than 15.
        self.out.push((step << 4) | kind);
    }

    pub(super) fn i32(&mut self, number: u8, value: i32) {
        self.field(number, Type::I32 as u8);
        self.zigzag(i64::from(value));
    }

    pub(super) fn i64(&mut self, number: u8, value: i64) {
        self.field(number, Type::I64 as u8);
        self.zigzag(value);
    }

    pub(super) fn bool(&mut self, number: u8, value: bool) {
        self.field(number, if value { 1 } else { 2 });
    }

    pub(super) fn text(&mut self, number: u8, text: &str) {
        self.field(number, Type::Binary as u8);
        self.entry_text(text);
    }

    /// Begins a struct that is a field.
    pub(super) fn inner(&mut self, number: u8) {
        self.field(number, Type::Struct as u8);
        self.begin();
    }

    /// Begins a list that is a field; its entries follow.
    pub(super) fn list(&mut self, number: u8, entries: usize, of: Type) {
        self.field(number, Type::List as u8);
        match u8::try_from(entries) {
            Ok(few) if few < 15 => self.out.push((few << 4) | of as u8),
            _ => {
                self.out.push(0xf0 | of as u8);
                self.varint(u64::try_from(entries).unwrap_or(u64::MAX));
            }
        }
    }

    pub(super) fn entry_i32(&mut self, value: i32) {
        self.zigzag(i64::from(value));
    }

    pub(super) fn entry_text(&mut self, text: &str) {
        self.varint(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.out.extend_from_slice(text.as_bytes());
    }

    fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn varint(&mut self, value: u64) {
        varint(value, &mut self.out);
    }
}

/// Seven bits a byte, the lowest first.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

//! Canonical bytes (RFC 8785) of an event in one pass, straight from its fields: no tree of values in between.
//!
//! It takes what events are made of, and refuses the rest ([`Slow`]): whoever is refused takes the long way
//! ([`crate::canonical`]), which also cuts down what is too large. Both give the same bytes.

use std::fmt;

use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};

use crate::canonical::{MAX_SAFE, write_string};

/// Not for this encoder.
#[derive(Debug)]
pub(crate) struct Slow;

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not encoded in one pass")
    }
}

impl std::error::Error for Slow {}

impl serde::ser::Error for Slow {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A member of an object: where its `"name":value` stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// The first bytes of the name: almost always enough to compare by.
    key: u64,
    name: &'static str,
    start: usize,
    end: usize,
}

impl Member {
    fn order(&self) -> (u64, &'static str) {
        (self.key, self.name)
    }
}

/// Reusable room to encode in.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
    /// Of the objects that are open, the outermost first.
    members: Vec<Member>,
    scratch: Vec<u8>,
    depth: usize,
}

impl Encoder {
    /// Encodes the members of what must be a struct.
    pub(crate) fn encode<T: Serialize>(&mut self, value: &T) -> Result<(), Slow> {
        self.out.clear();
        self.members.clear();
        self.depth = 0;
        value.serialize(&mut *self)
    }

    /// The members, in the order of their names, each with its `"name":value`.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let bytes = |member: &Member| self.out.get(member.start..member.end).unwrap_or_default();
        self.members.iter().map(move |member| (member.name, bytes(member)))
    }

    /// Sorts the members from number `base` on, whose object starts at `start`.
    fn sort(&mut self, base: usize, start: usize) -> Result<(), Slow> {
        let members = self.members.get_mut(base..).ok_or(Slow)?;
        if members.is_sorted_by_key(Member::order) {
            return Ok(());
        }
        members.sort_unstable_by_key(Member::order);
        if self.depth == 0 {
            return Ok(());
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(self.out.get(start..).ok_or(Slow)?);
        self.out.truncate(start);
        for (position, member) in self.members.get(base..).ok_or(Slow)?.iter().enumerate() {
            self.out.push(if position == 0 { b'{' } else { b',' });
            let from = member.start.checked_sub(start).ok_or(Slow)?;
            let to = member.end.checked_sub(start).ok_or(Slow)?;
            self.out.extend_from_slice(self.scratch.get(from..to).ok_or(Slow)?);
        }
        Ok(())
    }
}

/// The first eight bytes of a name, to be compared as one number.
fn key(name: &str) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(first)
}

/// Decimal digits of a number.
pub(crate) fn write_digits(mut number: u64, out: &mut Vec<u8>) {
    if let Ok(only @ 0..=9) = u8::try_from(number) {
        // As most counts are.
        return out.push(b'0' + only);
    }
    // Two at a time: a division takes longer than what is done with its result.
    let mut pairs = [[b'0'; 2]; 10];
    let mut used = 0;
    for pair in pairs.iter_mut().rev() {
        let two = u8::try_from(number % 100).unwrap_or(0);
        *pair = [b'0' + two / 10, b'0' + two % 10];
        number /= 100;
        used += 1;
        if number == 0 {
            break;
        }
    }
    let digits = pairs.get(pairs.len() - used..).unwrap_or_default().as_flattened();
    out.extend_from_slice(digits.strip_prefix(b"0").unwrap_or(digits));
}

/// An object that is being encoded.
pub(crate) struct Object<'e> {
    encoder: &'e mut Encoder,
    base: usize,
    start: usize,
}

impl SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = Slow;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Slow> {
        let encoder = &mut *self.encoder;
        encoder.out.push(if encoder.members.len() == self.base { b'{' } else { b',' });
        let start = encoder.out.len();
        encoder.out.push(b'"');
        encoder.out.extend_from_slice(name.as_bytes());
        encoder.out.extend_from_slice(b"\":");
        // Before its value, whose own members come and go in between.
        let at = encoder.members.len();
        encoder.members.push(Member { key: key(name), name, start, end: start });
        encoder.depth += 1;
        value.serialize(&mut *encoder)?;
        encoder.depth -= 1;
        let end = encoder.out.len();
        encoder.members.get_mut(at).ok_or(Slow)?.end = end;
        Ok(())
    }

    fn end(self) -> Result<(), Slow> {
        let Self { encoder, base, start } = self;
        if encoder.members.len() == base {
            encoder.out.push(b'{');
        }
        encoder.sort(base, start)?;
        encoder.out.push(b'}');
        if encoder.depth > 0 {
            encoder.members.truncate(base);
        }
        Ok(())
    }
}

/// A list that is being encoded.
pub(crate) struct List<'e> {
    encoder: &'e mut Encoder,
    empty: bool,
}

impl SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Slow;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Slow> {
        if !std::mem::take(&mut self.empty) {
            self.encoder.out.push(b',');
        }
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Slow> {
        self.encoder.out.push(b']');
        Ok(())
    }
}

impl<'e> Serializer for &'e mut Encoder {
    type Ok = ();
    type Error = Slow;
    type SerializeSeq = List<'e>;
    type SerializeTuple = Impossible<(), Slow>;
    type SerializeTupleStruct = Impossible<(), Slow>;
    type SerializeTupleVariant = Impossible<(), Slow>;
    type SerializeMap = Impossible<(), Slow>;
    type SerializeStruct = Object<'e>;
    type SerializeStructVariant = Impossible<(), Slow>;

    fn serialize_bool(self, value: bool) -> Result<(), Slow> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Slow> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Slow> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Slow> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Slow> {
        if value < 0 {
            self.out.push(b'-');
        }
        self.serialize_u64(value.unsigned_abs())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Slow> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Slow> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Slow> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Slow> {
        if value > MAX_SAFE {
            return Err(Slow);
        }
        write_digits(value, &mut self.out);
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Result<(), Slow> {
        Err(Slow)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Slow> {
        Err(Slow)
    }

    fn serialize_char(self, value: char) -> Result<(), Slow> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Slow> {
        write_string(value, &mut self.out);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Slow> {
        Err(Slow)
    }

    fn serialize_none(self) -> Result<(), Slow> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Slow> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Slow> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Slow> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Slow> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Slow> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Slow> {
        Err(Slow)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'e>, Slow> {
        self.out.push(b'[');
        Ok(List { encoder: self, empty: true })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Slow> {
        Err(Slow)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Slow> {
        Err(Slow)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Slow> {
        Err(Slow)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Slow> {
        Err(Slow)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'e>, Slow> {
        let (base, start) = (self.members.len(), self.out.len());
        Ok(Object { encoder: self, base, start })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Slow> {
        Err(Slow)
    }
}

use crate::frame::{HEADER, peek};

/// A frame does not hold what its type promises. Says nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0} message")]
pub struct ReadError(pub &'static str);

/// What is left to read of one frame's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Body<'a> {
    /// The body of a frame of type `tag`, which must be exactly one frame.
    pub(super) fn of(frame: &'a [u8], tag: u8, what: &'static str) -> Result<Self, ReadError> {
        let error = ReadError(what);
        let header = peek(frame).map_err(|_| error)?.ok_or(error)?;
        if header.tag != tag || header.total() != frame.len() {
            return Err(error);
        }
        let rest = frame.get(HEADER..).ok_or(error)?;
        Ok(Self { rest, what })
    }

    pub(super) const fn error(&self) -> ReadError {
        ReadError(self.what)
    }

    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(self.error())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ReadError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn i16(&mut self) -> Result<i16, ReadError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ReadError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A count of things to come, each of at least `size` bytes: one that cannot be true is refused before
    /// anything is allocated for it. PostgreSQL reads counts as unsigned.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, ReadError> {
        let count = usize::from(self.array().map(u16::from_be_bytes)?);
        if count.saturating_mul(size) > self.rest.len() { Err(self.error()) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(self.error())?;
        self.rest = rest;
        Ok(head)
    }

    /// All that is left.
    pub(super) const fn remaining(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Bytes up to a NUL, which is consumed too.
    pub(super) fn cstring(&mut self) -> Result<&'a [u8], ReadError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(self.error())?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(text)
    }

    /// A value with its length word; -1 is NULL.
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, ReadError> {
        match self.i32()? {
            -1 => Ok(None),
            len => self.bytes(usize::try_from(len).map_err(|_| self.error())?).map(Some),
        }
    }

    /// `count` of what `read` reads.
    pub(super) fn list<T>(
        &mut self,
        size: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        let count = self.count(size)?;
        (0..count).map(|_| read(self)).collect()
    }

    /// A count of format codes, and these.
    pub(super) fn formats(&mut self) -> Result<Formats<'a>, ReadError> {
        let count = self.count(2)?;
        let (codes, _) = self.bytes(count.saturating_mul(2))?.as_chunks();
        Ok(Formats(codes))
    }

    /// A count of values, and these: each is read once, so that all are there.
    pub(super) fn values(&mut self) -> Result<Values<'a>, ReadError> {
        let count = self.count(4)?;
        let all = *self;
        for _ in 0..count {
            self.value()?;
        }
        Ok(Values { count, all })
    }

    /// Nothing may be left.
    pub(super) const fn end(self) -> Result<(), ReadError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error()) }
    }
}

/// Format codes of values or columns, as they came: none (all text), one for all, or one each. 0 is text, 1 binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats<'a>(&'a [[u8; 2]]);

impl Formats<'_> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of the value or column at this index.
    #[must_use]
    pub fn of(&self, index: usize) -> i16 {
        match self.0 {
            [] => 0,
            [all] => i16::from_be_bytes(*all),
            each => each.get(index).copied().map_or(0, i16::from_be_bytes),
        }
    }
}

/// Values as they came, all of which are there.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    count: usize,
    /// They, and what comes after them.
    all: Body<'a>,
}

impl<'a> Values<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each of them; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut rest = self.all;
        (0..self.count).map_while(move |_| rest.value().ok())
    }
}

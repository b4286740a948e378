//! Cutting a byte stream into frames.

use bytes::{Buf as _, Bytes, BytesMut};

/// Bytes before a frame's body: the tag and the length word.
pub const HEADER: usize = 5;

/// The largest whole frame of the server's that is buffered, in bytes (RowDescription, errors, notices), and of a client's
/// unless [`Cutter::allow`] says otherwise. Longer errors and notices of the server's, which code there may write as long as
/// it likes, are read to their end and not kept.
pub const MAX_FRAME: usize = 16 << 20;

/// A whole frame of more bytes than this is large: it has memory of its own, which is the caller's to account for.
pub const LARGE: usize = 64 << 10;

/// The largest streamed frame, in bytes: PostgreSQL's own limit for a message (`PQ_LARGE_MESSAGE_LIMIT`,
/// `MaxAllocSize` - 1).
pub const MAX_STREAMED: usize = 0x3fff_fffe;

/// The largest frame of the client's small messages (Close, Describe, Execute, Sync …), in bytes:
/// `PQ_SMALL_MESSAGE_LIMIT` of PostgreSQL's `libpq/libpq.h`.
pub const MAX_SMALL: usize = 10_000;

/// The largest frame of the server's small messages, in bytes: libpq refuses longer ones
/// (`VALID_LONG_MESSAGE_TYPE` in `fe-protocol3.c`).
pub const MAX_SERVER_SMALL: usize = 30_000;

/// How much is kept of an error or notice that is too long: severity and SQLSTATE come first (`send_message_to_frontend` of
/// elog.c).
const KEPT_HEAD: usize = 256;

/// A frame's tag and the length of what follows its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message type, for example `b'Q'`.
    pub tag: u8,
    /// Bytes of the body: the length word less its own four bytes.
    pub len: usize,
}

impl Header {
    /// Bytes of the whole frame.
    #[must_use]
    pub const fn total(self) -> usize {
        self.len.saturating_add(HEADER)
    }
}

/// The stream cannot be cut any further; the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length word is smaller than itself.
    #[error("message {tag:#04x} has an invalid length")]
    Length {
        /// The message type.
        tag: u8,
    },
    /// The frame is longer than its kind may be.
    #[error("message {tag:#04x} of {len} bytes is longer than {limit}")]
    TooLong {
        /// The message type.
        tag: u8,
        /// Bytes of the whole frame.
        len: usize,
        /// The most it may have.
        limit: usize,
    },
    /// No message of this type exists in this direction.
    #[error("unknown message type {tag:#04x}")]
    UnknownTag {
        /// The message type.
        tag: u8,
    },
}

/// Reads a header without consuming it; `None` while fewer than five bytes are there.
///
/// Checks only what holds for every message: the limits of each tag are [`Cutter`]'s, which knows the direction.
///
/// # Errors
/// The length is below 4 or above [`MAX_STREAMED`].
pub fn peek(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(([tag, length @ ..], _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let tag = *tag;
    let len = i32::from_be_bytes(*length)
        .checked_sub(4)
        .and_then(|len| usize::try_from(len).ok())
        .ok_or(FrameError::Length { tag })?;
    let header = Header { tag, len };
    if header.total() > MAX_STREAMED {
        return Err(FrameError::TooLong { tag, len: header.total(), limit: MAX_STREAMED });
    }
    Ok(Some(header))
}

/// Who sends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The stream comes from the client.
    Client,
    /// The stream comes from the server.
    Server,
}

impl Side {
    /// The most bytes a frame of this type may have, or `None` if the type does not exist in this direction.
    const fn limit(self, tag: u8) -> Option<usize> {
        match (self, tag) {
            (Self::Client, b'Q' | b'P' | b'B' | b'F') => Some(MAX_FRAME),
            (Self::Client, b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f') => Some(MAX_SMALL),
            // Passwords and SASL responses: PG_MAX_AUTH_TOKEN_LENGTH is larger, but only for GSSAPI.
            (Self::Client, b'p') => Some(MAX_SMALL),
            (Self::Client | Self::Server, b'd') | (Self::Server, b'D' | b'V') => Some(MAX_STREAMED),
            (Self::Server, b'T' | b'E' | b'N' | b'A' | b't' | b'S') => Some(MAX_FRAME),
            (
                Self::Server,
                b'R' | b'K' | b'Z' | b'C' | b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'G' | b'H' | b'W'
                | b'c' | b'v',
            ) => Some(MAX_SERVER_SMALL),
            _ => None,
        }
    }
}

/// Whether a message has a text or values of any length, and must be there in whole before it can be judged.
const fn is_statement(tag: u8) -> bool {
    matches!(tag, b'Q' | b'P' | b'B' | b'F')
}

/// Whether a server's message has a text of any length that somebody else has written.
const fn is_report(tag: u8) -> bool {
    matches!(tag, b'E' | b'N')
}

/// One frame, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A complete frame, header included.
    Whole {
        /// The message type.
        tag: u8,
        /// All of its bytes as they came.
        bytes: Bytes,
    },
    /// A piece of a streamed frame.
    Part {
        /// The message type.
        tag: u8,
        /// The next bytes as they came. The first piece begins with the complete header.
        bytes: Bytes,
        /// Whether the frame begins here.
        first: bool,
        /// Whether the frame ends here.
        last: bool,
    },
    /// A whole frame that was read to its end and not kept.
    Dropped {
        /// The message type.
        tag: u8,
        /// Its header as it came; of the server's, and the first fields.
        bytes: Bytes,
        /// Why it was not.
        why: Dropped,
    },
}

/// Why a frame was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is longer than so many bytes.
    TooLong {
        /// The most that is allowed.
        limit: usize,
    },
    /// There was no memory for it.
    NoRoom,
    /// Nothing more of it came for too long.
    StoodStill,
}

impl Piece {
    /// The message type.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Whole { tag, .. } | Self::Part { tag, .. } | Self::Dropped { tag, .. } => *tag,
        }
    }

    /// The bytes as they came, as far as they were kept.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Whole { bytes, .. } | Self::Part { bytes, .. } | Self::Dropped { bytes, .. } => bytes,
        }
    }
}

/// DataRows, or CopyData, as they came one after another: maybe the rest of one first, then whole ones, then maybe the
/// beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// All of their bytes.
    pub bytes: Bytes,
    /// How many begin in it.
    pub begun: u64,
    /// Whether it ends where a frame does.
    pub ends: bool,
}

/// Cuts what one side sends into frames, without copying.
///
/// Holds at most one incomplete frame, of at most [`MAX_FRAME`] bytes or what [`Cutter::allow`] says, besides what the
/// caller has read ahead.
#[derive(Debug)]
pub struct Cutter {
    side: Side,
    streamed: &'static [u8],
    buffer: BytesMut,
    /// The streamed frame that is under way, and how many of its bytes are still to come.
    rest: Option<(u8, usize)>,
    /// The largest of a client's whole frames, where longer ones are dropped.
    allowed: Option<usize>,
    dropping: Option<Dropping>,
}

/// A frame that is read and not kept.
#[derive(Debug)]
struct Dropping {
    header: Bytes,
    /// How many of its bytes are still to come.
    rest: usize,
    why: Dropped,
}

impl Cutter {
    /// Cuts what `side` sends; frames of the `streamed` types come in pieces.
    #[must_use]
    pub fn new(side: Side, streamed: &'static [u8]) -> Self {
        Self { side, streamed, buffer: BytesMut::new(), rest: None, allowed: None, dropping: None }
    }

    /// For what a client sends after authentication: CopyData is streamed.
    #[must_use]
    pub fn client() -> Self {
        Self::new(Side::Client, b"d")
    }

    /// For what a server sends: DataRow, CopyData and FunctionCallResponse are streamed.
    #[must_use]
    pub fn server() -> Self {
        Self::new(Side::Server, b"DdV")
    }

    /// Starts with bytes that were already read.
    #[must_use]
    pub fn with(mut self, leftover: BytesMut) -> Self {
        self.buffer = leftover;
        self
    }

    /// Takes a client's Query, Parse, Bind and FunctionCall of at most so many bytes, header included. Longer ones, which
    /// PostgreSQL might take ([`MAX_STREAMED`]), are read to their end and not kept.
    pub const fn allow(&mut self, bytes: usize) {
        self.allowed = Some(bytes);
    }

    /// How many bytes are still to come of a whole frame that is [`LARGE`], and that has begun to come. The caller may
    /// read less than that at a time, and must not read more.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        if self.buffer.len() < HEADER || self.rest.is_some() || self.dropping.is_some() {
            return None;
        }
        let header = peek(&self.buffer).ok()??;
        if header.total() <= LARGE || self.streamed.contains(&header.tag) {
            return None;
        }
        let limit = self.limit_of(header.tag, false)?;
        header.total().checked_sub(self.buffer.len()).filter(|rest| *rest > 0 && header.total() <= limit)
    }

    /// Lets the frame go that has begun to come and is not there in whole: what there is of it, and what still comes.
    pub fn give_up(&mut self, why: Dropped) {
        if let Some(header) = peek(&self.buffer).ok().flatten()
            && self.rest.is_none()
            && self.dropping.is_none()
            && self.buffer.len() < header.total()
        {
            self.drop_next(header, why);
        }
    }

    /// Takes a copy of the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to append the next bytes of the stream to. Bytes in it must not be changed or removed.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that were read but not yet handed out.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The type of the first message that says whether what a server was asked is done, if it is there: not such as come at any
    /// time, nor those that only prepare.
    #[must_use]
    pub fn outcome(&self) -> Option<u8> {
        if self.in_streamed_frame() || self.dropping.is_some() {
            return None;
        }
        let mut rest: &[u8] = &self.buffer;
        while let Ok(Some(header)) = peek(rest) {
            match header.tag {
                b'N' | b'A' | b'S' | b'1' | b'2' | b'3' | b't' | b'T' | b'n' => {
                    rest = rest.get(header.total()..)?;
                }
                tag => return Some(tag),
            }
        }
        None
    }

    /// Whether the stream stands between two frames: where it may end, and where other messages may be put in.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.rest.is_none() && self.dropping.is_none()
    }

    /// Whether a streamed frame has been begun but not handed out completely.
    #[must_use]
    pub const fn in_streamed_frame(&self) -> bool {
        self.rest.is_some()
    }

    /// The next frame or piece; `None` until more bytes have come.
    ///
    /// # Errors
    /// The stream cannot be cut further; every later call fails likewise.
    #[expect(clippy::should_implement_trait, reason = "an iterator that can be resumed would be a trap")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Piece>, FrameError> {
        // Asked again after each frame: mostly that was the last one.
        if self.buffer.is_empty() { Ok(None) } else { self.cut() }
    }

    fn cut(&mut self) -> Result<Option<Piece>, FrameError> {
        if let Some((tag, rest)) = self.rest {
            return Ok(self.part(tag, rest, false));
        }
        if self.dropping.is_some() {
            return Ok(self.dropped());
        }
        let Some(header) = peek(&self.buffer)? else { return Ok(None) };
        let tag = header.tag;
        let streamed = self.streamed.contains(&tag);
        let limit = self.limit_of(tag, streamed).ok_or(FrameError::UnknownTag { tag })?;
        if header.total() > limit {
            if self.allowed == Some(limit) && is_statement(tag) {
                self.drop_next(header, Dropped::TooLong { limit });
                return Ok(self.dropped());
            }
            if self.side == Side::Server && is_report(tag) {
                if self.buffer.len() < KEPT_HEAD {
                    return Ok(None);
                }
                self.drop_next(header, Dropped::TooLong { limit });
                return Ok(self.dropped());
            }
            return Err(FrameError::TooLong { tag, len: header.total(), limit });
        }
        if streamed {
            return Ok(self.part(tag, header.total(), true));
        }
        if self.buffer.len() < header.total() {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(header.total()).freeze();
        if bytes.len() > LARGE {
            // What follows must not share its memory, and so keep it.
            self.buffer = BytesMut::from(&*self.buffer);
        }
        Ok(Some(Piece::Whole { tag, bytes }))
    }

    /// The most bytes a frame of this type may have, or `None` if the type does not exist in this direction.
    fn limit_of(&self, tag: u8, streamed: bool) -> Option<usize> {
        let limit = self.side.limit(tag)?;
        match self.allowed {
            _ if streamed => Some(limit),
            Some(allowed) if self.side == Side::Client && is_statement(tag) => Some(allowed),
            _ => Some(limit.min(MAX_FRAME)),
        }
    }

    fn drop_next(&mut self, header: Header, why: Dropped) {
        let kept = if self.side == Side::Server { KEPT_HEAD.min(header.total()) } else { HEADER };
        let head = Bytes::copy_from_slice(self.buffer.get(..kept).unwrap_or(&self.buffer));
        let there = header.total().min(self.buffer.len());
        self.dropping = Some(Dropping { header: head, rest: header.total().saturating_sub(there), why });
        // In a buffer of another size, so that the large one goes at once.
        self.buffer = BytesMut::from(self.buffer.get(there..).unwrap_or_default());
    }

    /// Drops what is there of the frame that is not kept; says so at its end.
    fn dropped(&mut self) -> Option<Piece> {
        let Dropping { header, mut rest, why } = self.dropping.take()?;
        let there = rest.min(self.buffer.len());
        self.buffer.advance(there);
        rest = rest.saturating_sub(there);
        if rest > 0 {
            self.dropping = Some(Dropping { header, rest, why });
            return None;
        }
        let tag = header.first().copied()?;
        Some(Piece::Dropped { tag, bytes: header, why })
    }

    /// All DataRows, or all CopyData, that come next, as far as they are there; `None` where something else comes, or
    /// nothing is there. What cannot be cut is left for [`Self::next`] to tell.
    pub fn run(&mut self) -> Option<Run> {
        let (tag, mut rest) = match self.rest {
            Some(under_way) => under_way,
            None => (peek(&self.buffer).ok()??.tag, 0),
        };
        if !matches!(tag, b'D' | b'd') || !self.streamed.contains(&tag) {
            return None;
        }
        let (mut end, mut begun) = (0_usize, 0_u64);
        loop {
            let there = self.buffer.len().saturating_sub(end);
            end = end.saturating_add(rest.min(there));
            if rest > there {
                rest = rest.saturating_sub(there);
                break;
            }
            rest = 0;
            match self.buffer.get(end..).map(peek) {
                Some(Ok(Some(header))) if header.tag == tag => {
                    rest = header.total();
                    begun = begun.saturating_add(1);
                }
                _ => break,
            }
        }
        self.rest = (rest > 0).then_some((tag, rest));
        (end > 0).then(|| Run { bytes: self.buffer.split_to(end).freeze(), begun, ends: rest == 0 })
    }

    fn part(&mut self, tag: u8, rest: usize, first: bool) -> Option<Piece> {
        if self.buffer.is_empty() {
            return None;
        }
        let bytes = self.buffer.split_to(rest.min(self.buffer.len())).freeze();
        let rest = rest.saturating_sub(bytes.len());
        self.rest = (rest > 0).then_some((tag, rest));
        Some(Piece::Part { tag, bytes, first, last: rest == 0 })
    }
}

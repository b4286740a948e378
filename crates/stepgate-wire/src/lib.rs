//! PostgreSQL's wire protocol as the gate needs it: exact frames, checked readers, startup packets, and the
//! replies that the gate makes up itself.
//!
//! The gate reads what it must and forwards the bytes it read, never a re-encoding: whatever this crate and
//! the server could understand differently would be a way round the gate. Three habits follow:
//!
//! * a frame is cut by its own length field and nothing else ([`Cutter`]), so that no message can reach into
//!   the next one;
//! * a reader sees exactly one frame and must consume all of it ([`read`]);
//! * text that is not needed as text stays bytes (`client_encoding` need not be UTF-8).
//!
//! Nothing here does I/O, and nothing panics, whatever the peer sends.

mod ascii;
mod frame;
mod problem;
pub mod read;
pub mod reply;
pub mod startup;

pub use ascii::{plain_ascii, plain_letters};
pub use frame::{
    Cutter, Dropped, FrameError, HEADER, Header, LARGE, MAX_FRAME, MAX_SERVER_SMALL, MAX_SMALL, MAX_STREAMED,
    Piece, Run, Side, peek,
};
pub use problem::{Problem, Severity};
pub use read::ReadError;

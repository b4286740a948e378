//! One side of a session: its stream, what was read and not yet cut, what waits to be written.

use std::time::Instant;

use bytes::{Buf, BytesMut};
use stepgate_wire::Cutter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Stream;

/// Bytes asked for at a time. PostgreSQL sends 8 KiB at a time.
const READ: usize = 16 << 10;

/// The least room that is read into before more is made.
const READ_ROOM: usize = 2 << 10;

/// One side of the session and what waits to be written to it.
pub(crate) struct Side {
    pub(crate) stream: Stream,
    pub(crate) cutter: Cutter,
    pub(crate) out: BytesMut,
    /// Something was written since the last flush: TLS keeps what it could not send at once.
    pub(crate) unflushed: bool,
    /// Since when nothing could be written although as much waits as may.
    stalled: Option<Instant>,
}

impl Side {
    pub(crate) fn new(stream: Stream, cutter: Cutter, out: BytesMut) -> Self {
        Self { stream, cutter, out, unflushed: false, stalled: None }
    }

    pub(crate) fn has_work(&self) -> bool {
        self.unflushed || !self.out.is_empty()
    }

    /// Since when nothing could be written, where so `much` waits for it.
    pub(crate) fn stalled(&mut self, much: usize) -> Option<Instant> {
        if self.out.len() < much {
            self.stalled = None;
            return None;
        }
        Some(*self.stalled.get_or_insert_with(Instant::now))
    }

    /// Takes the result of [`write`]; `false` if the side is gone.
    pub(crate) fn wrote(&mut self, written: std::io::Result<usize>) -> bool {
        let flushed = self.out.is_empty();
        match written {
            Ok(_) if flushed => self.unflushed = false,
            Ok(written @ 1..) => {
                self.out.advance(written);
                self.stalled = None;
                self.unflushed = true;
            }
            _ => return false,
        }
        true
    }
}

/// Reads what is there. May be dropped at any time.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    cutter: &mut Cutter,
) -> std::io::Result<usize> {
    let buffer = cutter.buffer();
    // Frames share the allocation they were read into: a fresh one for each small read would let a client that
    // sends one tiny frame at a time pin two thousand times what it sends.
    if buffer.capacity().saturating_sub(buffer.len()) < READ_ROOM {
        buffer.reserve(READ);
    }
    stream.read_buf(buffer).await
}

/// Writes what it can, or flushes where nothing is left to write. May be dropped at any time.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), out: &[u8]) -> std::io::Result<usize> {
    if out.is_empty() { stream.flush().await.map(|()| 0) } else { stream.write(out).await }
}

#[cfg(test)]
mod tests {
    use stepgate_wire::Piece;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_that_sends_tiny_frames_one_at_a_time_pins_no_buffer_for_each() {
        let (mut client, mut gate) = tokio::io::duplex(64);
        let mut cutter = Cutter::client();
        let mut kept = Vec::new();
        for _ in 0..1_000 {
            client.write_all(b"S\0\0\0\x04").await.unwrap();
            assert_eq!(read(&mut gate, &mut cutter).await.unwrap(), 5);
            let Some(Piece::Whole { bytes, .. }) = cutter.next().unwrap() else { panic!("a frame") };
            kept.push(bytes);
        }
        let follows = |pair: &[bytes::Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let buffers = 1 + kept.windows(2).filter(|pair| !follows(pair)).count();
        assert!(buffers <= 2, "{buffers} buffers for 5,000 bytes");
    }
}

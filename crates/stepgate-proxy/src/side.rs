//! One side of a session: its stream, what was read and not yet cut, what waits to be written.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BufMut as _, BytesMut};
use stepgate_wire::Cutter;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Sleep, sleep};

use crate::{Stream, buffers};

/// The least room that is read into before more is made.
const READ_ROOM: usize = 2 << 10;

/// One side of the session and what waits to be written to it.
pub(crate) struct Side {
    pub(crate) stream: Stream,
    pub(crate) cutter: Cutter,
    pub(crate) out: BytesMut,
    /// Something was written since the last flush: TLS keeps what it could not send at once.
    pub(crate) unflushed: bool,
    /// Nothing more was there when it was last looked: who waits is woken once there is. Only within one turn of the task.
    asleep: bool,
    /// Until when something must be written where as much waits as may.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Side {
    pub(crate) fn new(stream: Stream, cutter: Cutter, out: BytesMut) -> Self {
        Self { stream, cutter, out, unflushed: false, asleep: false, patience: None }
    }

    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.unflushed || !self.out.is_empty()
    }

    /// Ready once nothing could be written for so `long`, where so `much` waits for it.
    pub(crate) fn stalls(&mut self, much: usize, long: Duration, context: &mut Context<'_>) -> Poll<()> {
        if self.out.len() < much {
            self.patience = None;
            return Poll::Pending;
        }
        self.patience.get_or_insert_with(|| Box::pin(sleep(long))).as_mut().poll(context)
    }

    /// Takes over what is to be written. Leaves a buffer to write more into.
    #[inline]
    pub(crate) fn take(&mut self, queue: &mut BytesMut) {
        if queue.is_empty() {
            return;
        }
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, queue);
        } else {
            self.out.extend_from_slice(queue);
        }
        queue.clear();
    }

    /// Writes what it can; whether that was anything.
    #[inline]
    pub(crate) fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        // Mostly there is nothing for one of the two.
        if self.has_work() { self.write_out(context) } else { Ok(false) }
    }

    fn write_out(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.patience = None;
                    (self.unflushed, wrote) = (true, true);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(wrote),
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.unflushed = false;
            wrote = true;
        }
        Ok(wrote)
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.asleep {
            return Poll::Pending;
        }
        let read = read(&mut self.stream, &mut self.cutter, context);
        self.asleep = read.is_pending();
        read
    }

    /// The task has waited for something else: what came meanwhile has woken it, and was not read.
    pub(crate) const fn looks_again(&mut self) {
        self.asleep = false;
    }

    /// Reads what is there, and no more than so many bytes, for which room is made.
    pub(crate) fn read_at_most(&mut self, most: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let buffer = self.cutter.buffer();
        buffer.reserve(most);
        let mut room = buffer.limit(most);
        Poll::Ready(ready!(pin!(self.stream.read_buf(&mut room)).poll(context)))
    }

    /// What comes now is not to be read yet, and need wake nobody: whoever waits for something else looks again then.
    pub(crate) fn mute(&self) {
        let _ = self.stream.tcp().poll_read_ready(&mut Context::from_waker(Waker::noop()));
    }

    /// The turn is over: gives back what nothing is in.
    pub(crate) fn rest(&mut self) {
        self.looks_again();
        buffers::take_back(self.cutter.buffer());
        buffers::give_back(&mut self.out);
    }
}

fn read(
    stream: &mut (impl AsyncRead + Unpin),
    cutter: &mut Cutter,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let buffer = cutter.buffer();
    buffers::lend(buffer);
    // Frames share the allocation they were read into: a fresh one for each small read would let a client that
    // sends one tiny frame at a time pin two thousand times what it sends.
    if buffer.capacity().saturating_sub(buffer.len()) < READ_ROOM {
        buffer.reserve(buffers::SIZE);
    }
    Poll::Ready(ready!(pin!(stream.read_buf(buffer)).poll(context)))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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
            assert_eq!(poll_fn(|context| read(&mut gate, &mut cutter, context)).await.unwrap(), 5);
            let Some(Piece::Whole { bytes, .. }) = cutter.next().unwrap() else { panic!("a frame") };
            kept.push(bytes);
            buffers::take_back(cutter.buffer());
        }
        let follows = |pair: &[bytes::Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let buffers = 1 + kept.windows(2).filter(|pair| !follows(pair)).count();
        assert!(buffers <= 2, "{buffers} buffers for 5,000 bytes");
    }
}

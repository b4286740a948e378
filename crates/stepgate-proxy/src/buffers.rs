//! Buffers belong to the thread, not to the session: a session that has nothing to say holds none.

use std::cell::RefCell;

use bytes::BytesMut;

/// Bytes of a buffer. PostgreSQL sends 8 KiB at a time; of a large result several of those come together.
pub(crate) const SIZE: usize = 64 << 10;

/// A buffer that has grown beyond this, in bytes, is not kept for others.
const MAX_KEPT: usize = 2 * SIZE;

/// The most free buffers that a thread keeps: as many as sessions are busy at the same moment, and some.
const MAX_FREE: usize = 32;

thread_local! {
    static FREE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes sure that there is a buffer.
#[inline]
pub(crate) fn lend(buffer: &mut BytesMut) {
    if buffer.capacity() == 0 {
        *buffer = one();
    }
}

#[inline(never)]
fn one() -> BytesMut {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Takes a buffer back that has nothing left in it. One that frames still share is left where it is: a client that
/// sends a tiny frame now and then, and has the gate keep it, would else pin a buffer by each.
pub(crate) fn take_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.try_reclaim(SIZE) {
        keep(std::mem::take(buffer));
    }
}

/// The same of one that no frame ever shares.
pub(crate) fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > 0 {
        let mut free = std::mem::take(buffer);
        // A smaller one was not lent.
        if free.try_reclaim(SIZE) {
            keep(free);
        }
    }
}

fn keep(free: BytesMut) {
    if free.capacity() <= MAX_KEPT {
        FREE.with_borrow_mut(|all| {
            if all.len() < MAX_FREE {
                all.push(free);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> usize {
        FREE.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_goes_back_once_nothing_is_in_it_and_no_frame_shares_it() {
        let mut buffer = BytesMut::new();
        lend(&mut buffer);
        buffer.extend_from_slice(b"S\0\0\0\x04");
        take_back(&mut buffer);
        assert_eq!((buffer.len(), free()), (5, 0));
        let frame = buffer.split_to(5).freeze();
        take_back(&mut buffer);
        assert_eq!(free(), 0);
        assert!(buffer.capacity() > 0, "what comes next goes behind the frame that is kept");
        drop(frame);
        take_back(&mut buffer);
        assert_eq!((buffer.capacity(), free()), (0, 1));
        lend(&mut buffer);
        assert_eq!((buffer.capacity(), free()), (SIZE, 0));
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        let mut buffer = BytesMut::new();
        lend(&mut buffer);
        buffer.extend_from_slice(&vec![0; 10 * SIZE]);
        buffer.clear();
        take_back(&mut buffer);
        assert_eq!((buffer.capacity(), free()), (0, 0));
    }
}

//! Room for recursion: trees are walked, rendered and dropped recursively, and the threads that ask have 2 MiB.

/// What a long statement is read on, in bytes. Pages that are not touched cost nothing.
const STACK: usize = 64 * 1024 * 1024;

/// What stands for a limit that was met.
pub(crate) const TOO_DEEP: &str = "too-deep";

/// The longest message, in bytes, and the most brackets in one, that are first read on the stack of whoever asks.
const SHORT: usize = 4 * 1024;
const FEW: usize = 24;

/// What may be met on a stack.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The highest tree: walking it takes about 5 KiB a level in a debug build.
    pub(crate) height: usize,
    /// The deepest recursion of sqlparser, which takes up to 100 KiB for a subquery in a debug build.
    pub(crate) recursion: usize,
}

/// Runs what reads this message, and once more with more room where it was too deep for what there was: a short message may
/// be as deep as a long one.
pub(crate) fn with_room<T>(sql: &[u8], read: impl Fn() -> T, is_too_deep: impl Fn(&T) -> bool) -> T {
    let is_plain = sql.len() <= SHORT && sql.iter().filter(|byte| **byte == b'(').count() <= FEW;
    if is_plain || is_large() {
        let done = read();
        if is_large() || !is_too_deep(&done) {
            return done;
        }
    }
    stacker::grow(STACK, read)
}

/// What may be met on this stack.
pub(crate) fn limits() -> Limits {
    if is_large() { Limits { height: 4_000, recursion: 400 } } else { Limits { height: 200, recursion: 50 } }
}

fn is_large() -> bool {
    stacker::remaining_stack().is_some_and(|left| left > STACK / 2)
}

//! What many threads count, each in a place of its own: one that all of them wrote to would go from processor to
//! processor with every statement.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many places there are. Where there are more threads, some share one.
const PLACES: usize = 16;

/// As much as processors take from each other at once, in bytes, is in none of them twice: 64, or two times that.
#[derive(Default)]
#[repr(align(128))]
struct Place<T>(T);

/// One for each thread, or for a few.
#[derive(Default)]
pub(crate) struct Apart<T>([Place<T>; PLACES]);

impl<T> Apart<T> {
    /// That of the thread that asks.
    pub(crate) fn here(&self) -> &T {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PLACES;
        }
        let [first, ..] = &self.0;
        // A thread that is about to end has no place of its own any more.
        let place = MINE.try_with(|mine| self.0.get(*mine)).ok().flatten();
        &place.unwrap_or(first).0
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|place| &place.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn what_threads_count_is_all_counted_and_each_finds_its_own_again() {
        let counted = Apart::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * PLACES {
                scope.spawn(|| {
                    counted.here().fetch_add(1, Ordering::Relaxed);
                    assert!(std::ptr::eq(counted.here(), counted.here()));
                });
            }
        });
        let all: u64 = counted.iter().map(|place| place.load(Ordering::Relaxed)).sum();
        assert_eq!(all, 3 * u64::try_from(PLACES).unwrap());
        assert!(counted.iter().filter(|place| place.load(Ordering::Relaxed) > 0).count() > 1);
    }
}

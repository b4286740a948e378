//! Threads that sessions live on, one for each processor. A session stays with the thread it was given, and both of its
//! directions with it: nothing of it is handed from one processor to another while bytes pass.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stepgate_store::{Bell, Log};
use tokio::runtime::{Builder, Handle, Runtime};

/// The runtimes. Not to be dropped within one.
pub struct Workers(Vec<Runtime>);

impl Workers {
    /// Starts them, each with a stack of so many bytes and room for so many threads for what takes long.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(stack: usize, blocking: usize) -> io::Result<Self> {
        let many = std::thread::available_parallelism().map_or(1, usize::from);
        let start = |_| {
            // Of one thread, and yet of the kind that can go on in another while one reads a long text (`aside.rs`).
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).thread_name("sessions").thread_stack_size(stack);
            builder.max_blocking_threads(blocking).enable_all().build()
        };
        (0..many).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Where to send connections.
    #[must_use]
    pub fn places(&self) -> Places {
        let place =
            |runtime: &Runtime| Place { on: runtime.handle().clone(), bell: None, taken: Arc::default() };
        Places(self.0.iter().map(place).collect())
    }

    /// Ends what still runs.
    pub fn stop(self, patience: Duration) {
        for runtime in self.0 {
            runtime.shutdown_timeout(patience);
        }
    }
}

/// The workers, and how many connections each has.
pub struct Places(Vec<Place>);

struct Place {
    on: Handle,
    bell: Option<Bell>,
    taken: Arc<AtomicUsize>,
}

/// One connection's share in a worker, until it is dropped.
pub(crate) struct Share(Arc<AtomicUsize>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    /// With a bell in each, by which those are woken who wait for that log.
    pub(crate) fn with_bells(mut self, log: &Log) -> Self {
        for place in &mut self.0 {
            let bell = log.bell();
            place.on.spawn(bell.clone().answer());
            place.bell = Some(bell);
        }
        self
    }

    /// The worker that has least to do, and its bell.
    pub(crate) fn least(&self) -> Option<(&Handle, Option<Bell>, Share)> {
        let place = self.0.iter().min_by_key(|place| place.taken.load(Ordering::Relaxed))?;
        place.taken.fetch_add(1, Ordering::Relaxed);
        Some((&place.on, place.bell.clone(), Share(Arc::clone(&place.taken))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_out_evenly_and_one_that_is_over_makes_room() {
        let workers = Workers::start(1 << 20, 1).unwrap();
        let places = workers.places();
        let many = places.0.len();
        let mut shares: Vec<_> = (0..2 * many).map(|_| places.least().unwrap().2).collect();
        assert!(places.0.iter().all(|place| place.taken.load(Ordering::Relaxed) == 2));
        drop(shares.pop());
        assert_eq!(places.least().unwrap().2.0.load(Ordering::Relaxed), 2);
        drop(shares);
        assert!(places.0.iter().all(|place| place.taken.load(Ordering::Relaxed) == 0));
        workers.stop(Duration::ZERO);
    }
}

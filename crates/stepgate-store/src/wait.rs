//! Waiting without a runtime: for the command line and the log's writer.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is done. The future must not need a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Blocks the thread until something is received or `deadline` has passed. `None` also once every sender is
/// gone.
pub(crate) fn receive_before<T>(queue: &mut mpsc::Receiver<T>, deadline: Instant) -> Option<T> {
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(received) = queue.poll_recv(&mut context) {
            return received;
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        thread::park_timeout(left);
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

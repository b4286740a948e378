//! Waiting for a future without a runtime: for the command line.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is done. The future must not need a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Blocks the thread until the future is done, or `ends` says so: whoever changes what that looks at unparks the thread.
pub(crate) fn block_on_unless<F: Future>(future: F, ends: &dyn Fn() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    while !ends() {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Some(output),
            // A safeguard, should nobody unpark it after all.
            Poll::Pending => thread::park_timeout(Duration::from_secs(1)),
        }
    }
    None
}

//! What calls a session away from its bytes: the gate's end, its operator, a cancel request, another catalog. It happens
//! seldom, and is looked at only once it has rung: to ask each source at every wait costs more than the bytes do.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{Notify, watch};

use crate::shutdown::beyond;
use crate::{CancelNotice, Registration, Shutdown};

/// What calls.
pub(super) enum Call {
    Shutdown(Shutdown),
    Kill,
    Cancel(CancelNotice),
    /// Its database is seen otherwise: whoever waits learns it, too, and keeps nothing of before.
    Learn,
}

/// Where calls come from.
pub(crate) struct Sources {
    pub(crate) shutdown: watch::Receiver<Shutdown>,
    pub(crate) kill: Arc<Notify>,
    pub(crate) registration: Registration,
    pub(crate) changes: watch::Receiver<()>,
}

/// Wakes the session's task, and remembers that it has.
struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

type Next = Pin<Box<dyn Future<Output = (Call, Shutdown, Sources)> + Send>>;

/// The calls of one session.
pub(crate) struct Calls {
    next: Next,
    bell: Arc<Bell>,
    /// The bell, as futures ring it.
    rings: Waker,
    /// Whom it wakes.
    wakes: Option<Waker>,
}

impl Calls {
    pub(crate) fn new(sources: Sources) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: Mutex::new(None) });
        let rings = Waker::from(Arc::clone(&bell));
        Self { next: Box::pin(next(Shutdown::default(), sources)), bell, rings, wakes: None }
    }

    /// The next call, if there is one.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<Call> {
        let task = context.waker();
        if !self.wakes.as_ref().is_some_and(|known| known.will_wake(task)) {
            *self.bell.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
            self.wakes = Some(task.clone());
            // It may have rung for the task of before.
            self.bell.rung.store(true, Ordering::Release);
        }
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Poll::Ready((call, how_far, sources)) =
            self.next.as_mut().poll(&mut Context::from_waker(&self.rings))
        else {
            return Poll::Pending;
        };
        self.next = Box::pin(next(how_far, sources));
        self.bell.rung.store(true, Ordering::Release);
        Poll::Ready(call)
    }
}

/// The next call. `known`: how far the gate was on its way out when it was last told.
async fn next(known: Shutdown, mut sources: Sources) -> (Call, Shutdown, Sources) {
    let Sources { shutdown, kill, registration, changes } = &mut sources;
    let call = tokio::select! {
        biased;
        how_far = beyond(shutdown, known) => Call::Shutdown(how_far),
        () = kill.notified() => Call::Kill,
        notice = registration.notices.recv() => Call::Cancel(notice),
        Ok(()) = changes.changed() => Call::Learn,
    };
    let known = if let Call::Shutdown(how_far) = call { how_far } else { known };
    (call, known, sources)
}

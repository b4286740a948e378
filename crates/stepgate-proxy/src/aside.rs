//! Work that takes long and much memory: where nobody else's session waits for this thread, and in a thread of its
//! own. The allocator keeps what a thread has freed for the next one, and would keep as much for each of a hundred.

use std::sync::{Mutex, PoisonError, mpsc};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// Texts of at most so many bytes have a lane of their own.
const SHORT: usize = 32 << 10;

/// One after the other, of a text of so many bytes. Reading a long message takes up to half a second and some hundred
/// bytes of memory for each of its own; a short one that takes long all the same waits for none of those.
pub(crate) fn one_by_one(bytes: usize, work: &mut (dyn FnMut() + Send)) {
    static LONG_ONE: Mutex<()> = Mutex::new(());
    static SHORT_ONE: Mutex<()> = Mutex::new(());
    let lane = if bytes <= SHORT { &SHORT_ONE } else { &LONG_ONE };
    let_others_go_on(|| {
        let _turn = lane.lock().unwrap_or_else(PoisonError::into_inner);
        in_its_own_thread(work);
    });
}

type Job = Box<dyn FnOnce() + Send>;

/// At once, what makes something large that is kept: in the thread that made the last of its kind, where that has nothing to
/// do. What a thread has freed, the allocator gives to that thread alone; were each catalog made in another, it would keep
/// room for one in each of sixteen arenas. `None`: there is no thread for it, or it has panicked.
pub(crate) async fn made<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static IDLE: Mutex<Vec<mpsc::Sender<Job>>> = Mutex::new(Vec::new());
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let last = idle().pop();
    let maker = match last {
        Some(maker) => maker,
        None => {
            let (maker, jobs) = mpsc::channel::<Job>();
            let thread = std::thread::Builder::new().name("aside".to_owned());
            thread.spawn(move || jobs.into_iter().for_each(|job| job())).ok()?;
            maker
        }
    };
    let (done, made) = oneshot::channel();
    let again = maker.clone();
    maker
        .send(Box::new(move || {
            let made = work();
            idle().push(again);
            let _ = done.send(made);
        }))
        .ok()?;
    made.await.ok()
}

fn in_its_own_thread(work: &mut (dyn FnMut() + Send)) {
    // A panic in it is one here.
    let thread = std::thread::Builder::new().name("aside".to_owned());
    if !std::thread::scope(|scope| thread.spawn_scoped(scope, &mut *work).is_ok()) {
        work();
    }
}

fn let_others_go_on(work: impl FnOnce()) {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Whoever sends texts of a megabyte keeps nobody waiting but who does so too.
    #[test]
    fn a_huge_text_that_is_being_read_holds_up_no_short_one() {
        let (begun, has_begun) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let (read, is_read) = mpsc::channel();
        let other = read.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                one_by_one(SHORT + 1, &mut move || {
                    begun.send(()).unwrap();
                    ends.recv().unwrap();
                });
            });
            has_begun.recv().unwrap();
            scope.spawn(move || one_by_one(SHORT, &mut || read.send("short").unwrap()));
            let first = is_read.recv_timeout(Duration::from_secs(20));
            scope.spawn(move || one_by_one(SHORT + 1, &mut || other.send("huge").unwrap()));
            end.send(()).unwrap();
            assert_eq!(first, Ok("short"));
        });
        assert_eq!(is_read.recv(), Ok("huge"));
    }

    #[tokio::test]
    async fn what_is_kept_is_made_by_one_thread_for_as_long_as_one_is_enough() {
        let name = || thread::current().id();
        let first = made(name).await.unwrap();
        assert_ne!(first, name());
        assert_eq!(made(name).await, Some(first));
        assert_eq!(made(|| panic!("on purpose")).await, None::<()>);
        let another = made(name).await.unwrap();
        assert_ne!(another, first, "that one has ended");
        static MEET: Barrier = Barrier::new(2);
        let meet = || {
            MEET.wait();
            thread::current().id()
        };
        let (one, other) = tokio::join!(made(meet), made(meet));
        assert!(one.is_some() && other.is_some() && one != other);
    }
}

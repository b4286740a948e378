//! Work that takes long and much memory: where nobody else's session waits for this thread, and in a thread of its
//! own. The allocator keeps what a thread has freed for the next one, and would keep as much for each of a hundred.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Handle, RuntimeFlavor};

/// One after the other. Reading a long message takes up to half a second and some hundred bytes of memory for each of
/// its own.
pub(crate) fn one_by_one(work: &mut (dyn FnMut() + Send)) {
    static ONE: Mutex<()> = Mutex::new(());
    let_others_go_on(|| {
        let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        in_its_own_thread(work);
    });
}

/// At once.
pub(crate) fn at_once(work: &mut (dyn FnMut() + Send)) {
    let_others_go_on(|| in_its_own_thread(work));
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

//! Places where tests stop the process, as a power cut would, or have something happen.

/// Where a test's child process stops itself is named in this variable.
#[cfg(test)]
pub(crate) const STOP_AT: &str = "STEPGATE_TEST_STOP_AT";

/// What is to happen, once, and where.
#[cfg(test)]
type Then = (&'static str, Box<dyn FnOnce()>);

#[cfg(test)]
thread_local! {
    static THEN: std::cell::RefCell<Option<Then>> = const { std::cell::RefCell::new(None) };
}

/// Has something happen once this thread comes to that place.
#[cfg(test)]
pub(crate) fn then(name: &'static str, what: impl FnOnce() + 'static) {
    THEN.with(|then| *then.borrow_mut() = Some((name, Box::new(what))));
}

/// Such a place; nothing, outside tests of this crate.
#[inline]
pub(crate) fn point(name: &str) {
    #[cfg(test)]
    if std::env::var(STOP_AT).is_ok_and(|at| at == name) {
        // No destructor runs, nothing is flushed: kill -9 by oneself.
        std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    #[cfg(test)]
    if let Some((_, what)) = THEN.with(|then| then.borrow_mut().take_if(|(at, _)| *at == name)) {
        what();
    }
    #[cfg(not(test))]
    let _ = name;
}

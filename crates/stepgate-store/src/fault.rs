//! Places where tests stop the process, as a power cut would.

/// Where a test's child process stops itself is named in this variable.
#[cfg(test)]
pub(crate) const STOP_AT: &str = "STEPGATE_TEST_STOP_AT";

/// Such a place; nothing, outside tests of this crate.
#[inline]
pub(crate) fn point(name: &str) {
    #[cfg(test)]
    if std::env::var(STOP_AT).is_ok_and(|at| at == name) {
        // No destructor runs, nothing is flushed: kill -9 by oneself.
        std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    #[cfg(not(test))]
    let _ = name;
}

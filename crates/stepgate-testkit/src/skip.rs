//! What cannot be tested on a machine, since something is not there.

/// Names what may be missing, separated by commas, or `all`. What is in the directory of such a name may be, too.
const ALLOWED: &str = "STEPGATE_ALLOW_SKIP";

/// Says aloud that a test is not run, since `what` is not there; `hint` says where it would come from.
///
/// # Panics
/// `CI` is set, and `STEPGATE_ALLOW_SKIP` does not name it: there everything must be tested, and a download that failed
/// must not pass for it.
#[track_caller]
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn skip(what: &str, hint: &str) {
    let allowed = std::env::var(ALLOWED).unwrap_or_default();
    if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) && !may_skip(what, &allowed) {
        panic!("no {what} here ({hint}), and {ALLOWED} does not allow for that");
    }
    eprintln!("SKIP: no {what} here ({hint})");
}

fn may_skip(what: &str, allowed: &str) -> bool {
    let within = |name| what.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let mut names = allowed.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.any(|name| name == "all" || name == what || within(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_may_be_missing() {
        assert!(may_skip("pgx", "jdbc, pgx") && may_skip("pgx", "all"));
        assert!(!may_skip("pgx", "") && !may_skip("pgx", "pgxpool") && !may_skip("", "pgx"));
        assert!(may_skip("jdbc/postgresql.jar", "pgx,jdbc") && !may_skip("jdbc/postgresql.jar", "jd,"));
    }
}

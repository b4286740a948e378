//! Begins and ends of transactions, understood where they are plain.

/// What a message does to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    Begin,
    Commit,
    Rollback,
    /// ROLLBACK TO: it stays open, and what was SET since may be taken back.
    RollbackTo,
    /// SAVEPOINT, RELEASE and SET TRANSACTION: it stays open, and nothing is taken back.
    Keep,
}

/// The boundary that this message is, if it is one plain command and nothing else.
pub(super) fn boundary(sql: &str) -> Option<Boundary> {
    let lower = sql.trim().trim_end_matches(';').to_ascii_lowercase();
    let plain = lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" \n\t,_".contains(&byte));
    let words: Vec<&str> = lower.split_ascii_whitespace().collect();
    match words.as_slice() {
        _ if !plain => None,
        ["begin" | "start", ..] => Some(Boundary::Begin),
        ["commit" | "end"] | ["commit" | "end", "work" | "transaction"] => Some(Boundary::Commit),
        ["rollback" | "abort"] | ["rollback" | "abort", "work" | "transaction"] => Some(Boundary::Rollback),
        ["rollback", "to", ..] | ["rollback", "work" | "transaction", "to", ..] => Some(Boundary::RollbackTo),
        ["savepoint" | "release", ..]
        | ["set", "transaction", ..]
        | ["set", "local" | "session", "transaction" | "characteristics", ..] => Some(Boundary::Keep),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_boundaries_are_understood_and_nothing_else() {
        for (sql, expected) in [
            ("BEGIN;", Some(Boundary::Begin)),
            ("start transaction isolation level serializable, read only", Some(Boundary::Begin)),
            ("Commit work", Some(Boundary::Commit)),
            ("abort", Some(Boundary::Rollback)),
            ("savepoint a", Some(Boundary::Keep)),
            ("rollback to a", Some(Boundary::RollbackTo)),
            ("rollback work to savepoint a", Some(Boundary::RollbackTo)),
            ("set transaction read only", Some(Boundary::Keep)),
            ("set session characteristics as transaction read only", Some(Boundary::Keep)),
            ("rollback and chain", None),
            ("commit prepared 'x'", None),
            ("begin; commit", None),
            ("rollback /* x */", None),
        ] {
            assert_eq!(boundary(sql), expected, "{sql}");
        }
    }
}

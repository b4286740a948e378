//! `SET search_path`, understood where it is plain; everything else that changes the session makes its
//! state unknown.

/// What a message does to the search path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Names, as the setting lists them.
    To(Vec<String>),
    /// Back to what the session began with.
    Initial,
}

/// For how long it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Session,
    Transaction,
}

/// The change that this message makes, if it is one plain `SET [SESSION | LOCAL] search_path`,
/// `RESET search_path` or `RESET ALL` and nothing else.
pub(super) fn change(sql: &str) -> Option<(Span, Change)> {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    let (first, rest) = word(sql)?;
    let (mut name, mut rest) = word(rest)?;
    let span = if name == "local" { Span::Transaction } else { Span::Session };
    if first == "set" && matches!(name.as_str(), "session" | "local") {
        (name, rest) = word(rest)?;
    }
    if first == "reset" && name == "all" && rest.is_empty() {
        return Some((span, Change::Initial));
    }
    if name != "search_path" {
        return None;
    }
    let change = match first.as_str() {
        "reset" if rest.is_empty() => Some(Change::Initial),
        "set" => values(rest.strip_prefix('=').or_else(|| after_to(rest))?.trim_start()),
        _ => None,
    };
    change.map(|change| (span, change))
}

fn after_to(rest: &str) -> Option<&str> {
    let (to, rest) = word(rest)?;
    (to == "to").then_some(rest)
}

/// A word in lower case, and what follows it without blanks.
fn word(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then(|| (word.to_ascii_lowercase(), rest.trim_start()))
}

fn values(text: &str) -> Option<Change> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, after, plain) = value(rest)?;
        if plain && name == "default" {
            return (names.is_empty() && after.is_empty()).then_some(Change::Initial);
        }
        names.push(name);
        match after.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => return after.is_empty().then_some(Change::To(names)),
        }
    }
}

/// A name, what follows, and whether it was a bare word.
fn value(text: &str) -> Option<(String, &str, bool)> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            let (name, after) = inner.split_once(quote)?;
            // Doubled quotes and backslashes are not plain.
            let plain = !after.starts_with(quote) && !name.contains('\\');
            return plain.then(|| (name.to_owned(), after.trim_start(), false));
        }
    }
    let (name, after) = word(text)?;
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    begins_well.then_some((name, after, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_change_is_understood_and_nothing_else() {
        let names = |names: &[&str]| Change::To(names.iter().map(|name| (*name).to_owned()).collect());
        let to = |all: &[&str]| Some((Span::Session, names(all)));
        let initial = Some((Span::Session, Change::Initial));
        assert_eq!(
            change("SET search_path = HR, \"Sales Ops\", public;"),
            to(&["hr", "Sales Ops", "public"])
        );
        assert_eq!(change("set session search_path to 'hr'"), to(&["hr"]));
        assert_eq!(change("set search_path to default"), initial);
        assert_eq!(change("reset search_path"), initial);
        assert_eq!(change("RESET ALL;"), initial);
        let local = Some((Span::Transaction, names(&["hr"])));
        assert_eq!(change("set local search_path = hr"), local);
        for other in [
            "set search_path = hr; select 1",
            "set search_path = hr /* x */",
            "set search_path = 'a''b'",
            "set search_path = U&\"hr\"",
            "set role dana",
            "select set_config('search_path', 'hr', false)",
            "set search_path = hr,",
        ] {
            assert_eq!(change(other), None, "{other}");
        }
    }
}

//! Names of databases in the operator's files, where `*` at the end stands for anything.

/// Whether the name is one that stands for others.
#[must_use]
pub fn is_wildcard(name: &str) -> bool {
    name.ends_with('*')
}

/// The one of these that is best for a database of that name: itself, or else the wildcard that says the most of it.
pub fn best_for<'n>(known: impl IntoIterator<Item = &'n str>, name: &str) -> Option<&'n str> {
    let fits = |known: &&str| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => *known == name,
    };
    known.into_iter().filter(fits).max_by_key(|known| (!is_wildcard(known), known.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_before_wildcards_and_the_longest_wildcard_first() {
        let known = ["*", "app_*", "app_1", "app_long_*"];
        for (name, best) in [
            ("app_1", Some("app_1")),
            ("app_12", Some("app_*")),
            ("app_", Some("app_*")),
            ("app_long_1", Some("app_long_*")),
            ("other", Some("*")),
            ("App_1", Some("*")),
        ] {
            assert_eq!(best_for(known, name), best, "{name}");
        }
        assert_eq!(best_for(["app_*", "shop"], "other"), None);
        assert_eq!(best_for(["shop"], "sho"), None);
        assert_eq!(best_for([], "shop"), None);
    }
}

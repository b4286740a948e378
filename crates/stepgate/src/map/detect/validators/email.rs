//! E-mail addresses (RFC 5321 section 4.1.2, as people really have them).

/// The longest address (RFC 5321 section 4.5.3.1.3).
const MAX: usize = 254;

/// Whether a text is an address, bare, as `mailto:` or as `Name <address>`.
pub(crate) fn is(text: &str) -> bool {
    let text = text.trim();
    // `<20261128.7@host.example>` names a message.
    if text.starts_with('<') {
        return false;
    }
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let text = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or(rest),
        None => text,
    };
    is_bare(text)
}

fn is_bare(text: &str) -> bool {
    if text.len() > MAX {
        return false;
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_is_good = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(|letter| letter.is_alphanumeric() || "!#$%&'+/=?^_`{|}~.-".contains(letter));
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    let label_is_good = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|letter| letter.is_alphanumeric() || letter == '-')
    };
    local_is_good
        && domain.split('.').all(label_is_good)
        && top.chars().count() >= 2
        && (top.chars().all(char::is_alphabetic) || top.starts_with("xn--"))
}

/// Whether a longer text has an address in it.
pub(crate) fn is_within(text: &str) -> bool {
    let ends = |letter: char| letter.is_whitespace() || "<>()[]{}\"',;:|=&?".contains(letter);
    text.contains('@') && text.split(ends).any(|word| is_bare(word.trim_end_matches(['.', '!'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_only_has_an_at_sign() {
        for good in [
            "dana@example.com",
            "d.scully+fbi@mail.example.co.uk",
            "Dana Scully <dana@example.org>",
            "mailto:x_y@example.museum",
            "jörg@müller.example",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "@dana",
            "dana@",
            "dana@localhost",
            "a b@example.com",
            "3 @ 4.50",
            "dana@example.c",
            "10@1.2",
            "<7@example.com>",
            "d***@example.com",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_found_within_text() {
        assert!(is_within("Please write to dana@example.com."));
        assert!(is_within("https://example.com/reset?mail=dana@example.com&x=1"));
        assert!(!is_within("meet @ 5 o'clock, user@host"));
    }
}

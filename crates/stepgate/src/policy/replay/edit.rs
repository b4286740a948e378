//! Small changes to a policy's text that leave the rest as it was written, and what they come to as a diff.
//!
//! They go by the text's lines, and may miss what is written in an unusual way: whoever makes one compiles the result and
//! looks whether it says what was meant (`tune`).

use std::fmt::Write as _;
use std::ops::Range;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// A text with the entry of a list or map taken out, or changed within.
pub(super) struct Text<'t>(Vec<&'t str>);

impl<'t> Text<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self(text.split_inclusive('\n').collect())
    }

    /// The lines of the rule of that name.
    pub(super) fn rule(&self, name: &str) -> Option<Range<usize>> {
        let is_rule = |line: &str| {
            let item = line.trim_start().strip_prefix("- ").unwrap_or_default();
            let item = item.trim_start().trim_start_matches('{').trim_start();
            let rest = item.strip_prefix("name:").unwrap_or_default().trim_start();
            let rest = rest.trim_start_matches(['"', '\'']);
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|it: char| it.is_alphanumeric() || "-_.".contains(it)))
        };
        let from = self.0.iter().position(|line| is_rule(line))?;
        Some(self.entry(from))
    }

    /// The lines of the approval of that name.
    pub(super) fn approval(&self, name: &str) -> Option<Range<usize>> {
        let section = self.0.iter().position(|line| line.starts_with("approvals:"))?;
        let key = format!("{name}:");
        let is_it = |line: &&str| line.starts_with([' ', '\t']) && line.trim_start().starts_with(&key);
        let ends = |line: &&str| !line.starts_with([' ', '\t', '#', '\n', '\r']);
        let body = self.0.get(section.saturating_add(1)..)?;
        let length = body.iter().position(ends).unwrap_or(body.len());
        let at = body.get(..length)?.iter().position(is_it)?;
        Some(self.entry(section.saturating_add(1).saturating_add(at)))
    }

    /// An entry that begins at this line: with all lines that are indented more.
    fn entry(&self, from: usize) -> Range<usize> {
        let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
        let own = self.0.get(from).map_or(0, |line| indent(line));
        let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let mut to = from.saturating_add(1);
        for (at, line) in self.0.iter().enumerate().skip(to) {
            if !blank(line) {
                if indent(line) <= own {
                    break;
                }
                to = at.saturating_add(1);
            }
        }
        from..to
    }

    /// All of it without these lines.
    pub(super) fn without(&self, lines: &Range<usize>) -> String {
        let kept = self.0.iter().enumerate().filter(|(at, _)| !lines.contains(at));
        kept.map(|(_, line)| *line).collect()
    }

    /// All of it, with these lines changed. `None`: nothing of it was to be changed.
    pub(super) fn with(
        &self,
        lines: &Range<usize>,
        change: impl FnOnce(&str) -> Option<String>,
    ) -> Option<String> {
        let part: String = self.0.get(lines.clone())?.concat();
        let changed = change(&part).filter(|changed| *changed != part)?;
        let (before, after) = (self.0.get(..lines.start)?.concat(), self.0.get(lines.end..)?.concat());
        Some(before + &changed + &after)
    }
}

/// Where the value of a key begins, at or after `from`.
fn value_at(text: &str, key: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at.checked_add(text.get(at..)?.find(key)?)?;
        let end = found.checked_add(key.len())?;
        let before = text.get(..found)?.chars().next_back();
        if before.is_none_or(|it| matches!(it, ' ' | '{' | ',' | '\n' | '\t'))
            && text.get(end..)?.starts_with(':')
        {
            let rest = text.get(end.checked_add(1)?..)?;
            return Some(text.len() - rest.trim_start_matches([' ', '\t']).len());
        }
        at = end;
    }
}

/// The number that stands behind `outer` and then `inner`, and the text with another one there.
pub(super) fn number(text: &str, keys: &[&str]) -> Option<(u64, Range<usize>)> {
    let mut at = 0;
    for key in keys {
        at = value_at(text, key, at)?;
    }
    let rest = text.get(at..)?;
    let skipped = rest.len() - rest.trim_start_matches(['"', '\'', '>', '=', ' ']).len();
    let digits = rest.get(skipped..)?.bytes().take_while(u8::is_ascii_digit).count();
    let range = at.checked_add(skipped)?..at.checked_add(skipped)?.checked_add(digits)?;
    Some((text.get(range.clone())?.parse().ok()?, range))
}

/// The text with this range of it replaced.
pub(super) fn replaced(text: &str, range: &Range<usize>, by: &str) -> Option<String> {
    Some(format!("{}{by}{}", text.get(..range.start)?, text.get(range.end..)?))
}

/// The value of `key` within `remember`, written as a word or a list in brackets.
pub(super) fn of_remember(text: &str, key: &str) -> Option<Range<usize>> {
    let at = value_at(text, key, value_at(text, "remember", 0)?)?;
    let rest = text.get(at..)?;
    let length = if rest.starts_with('[') {
        rest.find(']')?.checked_add(1)?
    } else {
        rest.find([',', '}', '\n', ' ']).unwrap_or(rest.len())
    };
    Some(at..at.checked_add(length)?)
}

/// `remember: {…}` with the comma before or after it; only as it is written in braces.
pub(super) fn all_of_remember(text: &str) -> Option<Range<usize>> {
    let value = value_at(text, "remember", 0)?;
    let from = text.get(..value)?.rfind("remember")?;
    text.get(value..)?.strip_prefix('{')?;
    let end = value.checked_add(text.get(value..)?.find('}')?)?.checked_add(1)?;
    let before = text.get(..from)?.trim_end();
    if before.ends_with(',') {
        return Some(before.len().checked_sub(1)?..end);
    }
    let rest = text.get(end..)?;
    match rest.strip_prefix(',') {
        Some(after) => Some(from..text.len() - after.trim_start_matches(' ').len()),
        // A line of its own.
        None => Some(before.len()..end),
    }
}

/// What was changed, as `diff -u` writes it: one hunk.
pub(super) fn diff(file: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()).saturating_sub(same);
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(CONTEXT);
    let (old_end, new_end) = (old.len().saturating_sub(end), new.len().saturating_sub(end));
    let shown = |all: usize, end: usize| all.min(end.saturating_add(CONTEXT));
    let (old_to, new_to) = (shown(old.len(), old_end), shown(new.len(), new_end));
    let mut text = format!("--- {file}\n+++ {file}\n");
    let _ = writeln!(
        text,
        "@@ -{},{} +{},{} @@",
        from.saturating_add(1),
        old_to.saturating_sub(from),
        from.saturating_add(1),
        new_to.saturating_sub(from)
    );
    let mut lines = |sign: char, lines: Option<&[&str]>| {
        for line in lines.unwrap_or_default() {
            let _ = writeln!(text, "{sign}{line}");
        }
    };
    lines(' ', old.get(from..same));
    lines('-', old.get(same..old_end));
    lines('+', new.get(same..new_end));
    lines(' ', old.get(old_end..old_to));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
version: 1
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client]}}   # verify once
  owners:
    groups: [data-owners]
    remember: {for: 1h}
rules:
  # what is restricted
  - {name: restricted, match: {class: \">=restricted\"}, action: step-up, approval: self, limit: {rows: 1000, bytes: 5MiB}}
  - name: bulk
    match:
      estimate_rows: \">10000\"
    action: approve
    approval: owners
  - {name: bulk-more, match: {bulk: true},
     action: deny}
";

    #[test]
    fn entries_are_found_with_all_their_lines() {
        let text = Text::of(POLICY);
        assert_eq!(text.rule("restricted"), Some(8..9));
        assert_eq!(text.rule("bulk"), Some(9..14));
        assert_eq!(text.rule("bulk-more"), Some(14..16));
        assert_eq!(text.rule("bul"), None);
        assert_eq!(text.approval("self"), Some(2..3));
        assert_eq!(text.approval("owners"), Some(3..6));
        assert_eq!(text.approval("rules"), None);
        assert!(!text.without(&(9..14)).contains("10000"));
    }

    #[test]
    fn values_are_changed_where_they_stand() {
        let text = Text::of(POLICY);
        let changed = text.with(&(8..9), |part| {
            let (is, range) = number(part, &["limit", "rows"])?;
            assert_eq!(is, 1000);
            replaced(part, &range, "200")
        });
        assert!(changed.unwrap().contains("limit: {rows: 200, bytes: 5MiB}"));
        let changed = text.with(&(9..14), |part| {
            let (is, range) = number(part, &["estimate_rows"])?;
            assert_eq!(is, 10000);
            replaced(part, &range, "20000")
        });
        assert!(changed.unwrap().contains("\">20000\""));
        let changed = text.with(&(2..3), |part| replaced(part, &of_remember(part, "scope")?, "[person]"));
        assert!(changed.unwrap().contains("scope: [person]}}   # verify"));
        let changed = text.with(&(2..3), |part| replaced(part, &of_remember(part, "for")?, "1h"));
        assert!(changed.unwrap().contains("{for: 1h, scope"));
        let changed = text.with(&(2..3), |part| replaced(part, &all_of_remember(part)?, ""));
        assert!(changed.unwrap().contains("self: {self: true}"));
        let changed = text.with(&(3..6), |part| replaced(part, &all_of_remember(part)?, ""));
        assert!(changed.unwrap().contains("groups: [data-owners]\nrules:"));
        assert_eq!(text.with(&(14..16), |part| replaced(part, &number(part, &["limit"])?.1, "1")), None);
    }

    #[test]
    fn a_diff_is_one_that_patch_takes() {
        let new = POLICY.replace("rows: 1000", "rows: 200");
        let diff = diff("policy.yaml", POLICY, &new);
        assert!(
            diff.starts_with("--- policy.yaml\n+++ policy.yaml\n@@ -6,7 +6,7 @@\n     remember"),
            "{diff}"
        );
        assert_eq!(diff.lines().filter(|line| line.starts_with('-')).count(), 2);
        assert_eq!(diff.lines().filter(|line| line.starts_with('+')).count(), 2);
    }
}

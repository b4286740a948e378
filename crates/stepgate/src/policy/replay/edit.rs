//! Small changes to a policy's text that leave the rest as it was written, and what they come to as a diff.
//!
//! They go by the text's lines, and may miss what is written in an unusual way: whoever makes one compiles the result and
//! looks whether it says what was meant (`tune`).

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

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

/// What a diff calls a file: its path from here, by which `git apply` and `patch -p1` find it, or else its name.
pub(super) fn label(file: &Path) -> String {
    let here = std::env::current_dir().ok().and_then(|here| here.canonicalize().ok());
    let whole = file.canonicalize().ok();
    let from_here =
        whole.as_deref().zip(here.as_deref()).and_then(|(file, here)| file.strip_prefix(here).ok());
    let name = from_here.or_else(|| file.file_name().map(Path::new)).unwrap_or(file);
    name.display().to_string()
}

/// A text's lines without what ends them but a carriage return, and whether the last one is ended.
fn lines(text: &str) -> (Vec<&str>, bool) {
    let lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line));
    (lines.collect(), text.is_empty() || text.ends_with('\n'))
}

/// What was changed, as `diff -u` writes it: one hunk.
pub(super) fn diff(file: &str, old: &str, new: &str) -> String {
    let ((old, old_ends), (new, new_ends)) = (lines(old), lines(new));
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()).saturating_sub(same);
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(CONTEXT);
    let (old_end, new_end) = (old.len().saturating_sub(end), new.len().saturating_sub(end));
    let shown = |all: usize, end: usize| all.min(end.saturating_add(CONTEXT));
    let (old_to, new_to) = (shown(old.len(), old_end), shown(new.len(), new_end));
    let mut text = format!("--- a/{file}\n+++ b/{file}\n");
    let _ = writeln!(
        text,
        "@@ -{},{} +{},{} @@",
        from.saturating_add(1),
        old_to.saturating_sub(from),
        from.saturating_add(1),
        new_to.saturating_sub(from)
    );
    // `cut`: the last line of these is the last of a text that ends without a line feed.
    let mut add = |sign: char, lines: Option<&[&str]>, cut: bool| {
        let lines = lines.unwrap_or_default();
        for line in lines {
            let _ = writeln!(text, "{sign}{line}");
        }
        if cut && !lines.is_empty() {
            text.push_str("\\ No newline at end of file\n");
        }
    };
    add(' ', old.get(from..same), !old_ends && same == old.len());
    add('-', old.get(same..old_end), !old_ends && old_end == old.len());
    add('+', new.get(same..new_end), !new_ends && new_end == new.len());
    add(' ', old.get(old_end..old_to), !old_ends && old_to == old.len());
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
            diff.starts_with("--- a/policy.yaml\n+++ b/policy.yaml\n@@ -6,7 +6,7 @@\n     remember"),
            "{diff}"
        );
        assert_eq!(diff.lines().filter(|line| line.starts_with('-')).count(), 2);
        assert_eq!(diff.lines().filter(|line| line.starts_with('+')).count(), 2);
    }

    /// What `patch` makes of it.
    fn patched(old: &str, diff: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.yaml"), old).unwrap();
        std::fs::write(dir.path().join("a.diff"), diff).unwrap();
        let mut patch = std::process::Command::new("patch");
        let said =
            patch.current_dir(dir.path()).args(["-p1", "--binary", "-F0", "-i", "a.diff"]).output().unwrap();
        assert!(said.status.success(), "{diff}\n{}", String::from_utf8_lossy(&said.stdout));
        std::fs::read_to_string(dir.path().join("policy.yaml")).unwrap()
    }

    #[test]
    fn whatever_ends_the_lines_patch_makes_the_new_text_of_the_old_one() {
        let other = |text: &str| text.replace("rows: 1000", "rows: 200");
        let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
        let without = |text: &str, from: usize, to: usize| {
            let kept = lines(text).into_iter().enumerate().filter(|(at, _)| !(from..to).contains(at));
            kept.map(|(_, line)| line).collect::<String>()
        };
        let windows = POLICY.replace('\n', "\r\n");
        for old in [POLICY, POLICY.trim_end(), windows.as_str(), windows.trim_end()] {
            let all = lines(old).len();
            for new in [other(old), without(old, all - 2, all), without(old, 0, 1), without(old, 9, 14)] {
                assert_eq!(patched(old, &diff("policy.yaml", old, &new)), new, "{old:?}");
            }
        }
    }
}

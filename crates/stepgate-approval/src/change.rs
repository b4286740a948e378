//! What changes between two texts, for who approves the newer one: a unified diff, by lines, made safe to look at.
//!
//! Whatever is not shown is the same in both. Where the texts differ much, more is shown as changed than must be (all
//! that lies between the first and the last difference), never less.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::display::escape_for_display;

/// Lines that have not changed, shown around those that have.
const CONTEXT: usize = 3;

/// How many lines may have come and gone before all between the first and the last of them is shown as changed: the
/// steps of the search grow with it, and its memory with its square (some 4 MB).
const MAX_EDITS: usize = 700;

/// What a line of the two texts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Same,
    Gone,
    New,
}

/// A text in its old and its new form.
#[derive(Debug, Clone, Copy)]
pub struct Changed<'t> {
    /// What it is called: `policy`.
    pub name: &'t str,
    /// What is in force.
    pub old: &'t str,
    /// What is to be.
    pub new: &'t str,
}

/// A unified diff of all these, each under its name (`=== policy`), each line made safe by [`escape_for_display`]; nothing
/// of those that are the same. What a line is, its first character says: no text of a policy's looks like one of the diff's.
#[must_use]
pub fn unified(texts: &[Changed<'_>]) -> String {
    let mut shown = String::new();
    for text in texts.iter().filter(|text| text.old != text.new) {
        let (old, new) = (lines(text.old), lines(text.new));
        let name = escape_for_display(text.name.as_bytes());
        // Writing to a String cannot fail.
        let _ = writeln!(shown, "=== {name}");
        hunks(&mut shown, (&old, &new), &edits(&old, &new));
    }
    shown
}

/// With their line feeds: a last line without one is another line.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// What was done to the old lines to make the new ones of them.
fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let before = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old, new) = (old.get(before..).unwrap_or_default(), new.get(before..).unwrap_or_default());
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let old = old.get(..old.len() - after).unwrap_or_default();
    let new = new.get(..new.len() - after).unwrap_or_default();
    let all = || [vec![Edit::Gone; old.len()], vec![Edit::New; new.len()]].concat();
    let (old, new) = numbered(old, new);
    let between = shortest(&old, &new).unwrap_or_else(all);
    [vec![Edit::Same; before], between, vec![Edit::Same; after]].concat()
}

/// The lines as numbers, the same for the same: they are compared often.
fn numbered<'t>(old: &[&'t str], new: &[&'t str]) -> (Vec<usize>, Vec<usize>) {
    let mut known = HashMap::new();
    let mut number = |line: &&'t str| {
        let next = known.len();
        *known.entry(*line).or_insert(next)
    };
    let old = old.iter().map(&mut number).collect();
    (old, new.iter().map(&mut number).collect())
}

/// The fewest edits (E. W. Myers, An O(ND) Difference Algorithm and Its Variations, 1986, figure 2); `None`: they are too
/// many.
fn shortest(old: &[usize], new: &[usize]) -> Option<Vec<Edit>> {
    // How many old lines are used up on each diagonal, after each number of edits `d`. Diagonal `k`, from -d to d, is at
    // k + d; on it, k more old lines are used up than new ones.
    let mut reached: Vec<Vec<usize>> = Vec::new();
    for d in 0..=MAX_EDITS {
        let mut now = vec![0; 2 * d + 1];
        for at in (0..=2 * d).step_by(2) {
            let mut x = reached.last().map_or(0, |before| edited(before, at).0);
            let mut y = (x + d).checked_sub(at)?;
            while let (Some(one), Some(other)) = (old.get(x), new.get(y))
                && one == other
            {
                (x, y) = (x + 1, y + 1);
            }
            *now.get_mut(at)? = x;
            if (x, y) == (old.len(), new.len()) {
                return Some(way(&reached, x, y));
            }
        }
        reached.push(now);
    }
    None
}

/// Where the diagonal at `at` begins after one edit more than `before`, and which edit that is: a new line comes from the
/// diagonal above, which is at the same place there, and one that is gone from the one below.
fn edited(before: &[usize], at: usize) -> (usize, Edit) {
    let above = before.get(at).copied();
    let below = at.checked_sub(2).and_then(|at| before.get(at)).copied();
    match (above, below) {
        (Some(above), Some(below)) if below < above => (above, Edit::New),
        (_, Some(below)) => (below + 1, Edit::Gone),
        (above, None) => (above.unwrap_or_default(), Edit::New),
    }
}

/// The way that has led there, found from its end.
fn way(reached: &[Vec<usize>], mut x: usize, mut y: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (d, before) in reached.iter().enumerate().rev() {
        let (begun, edit) = edited(before, (x + d + 1).saturating_sub(y));
        let same = x.saturating_sub(begun);
        edits.extend(std::iter::repeat_n(Edit::Same, same));
        (x, y) = (x - same, y.saturating_sub(same));
        match edit {
            Edit::New => y = y.saturating_sub(1),
            Edit::Gone | Edit::Same => x = x.saturating_sub(1),
        }
        edits.push(edit);
    }
    edits.extend(std::iter::repeat_n(Edit::Same, x));
    edits.reverse();
    edits
}

/// Writes what has changed, with what stands around it.
fn hunks(shown: &mut String, texts: (&[&str], &[&str]), edits: &[Edit]) {
    let numbered = edits.iter().enumerate();
    let changed: Vec<_> = numbered.filter(|(_, edit)| **edit != Edit::Same).map(|(at, _)| at).collect();
    let is_apart = |pair: &[usize]| matches!(pair, [one, next] if next - one > 2 * CONTEXT + 1);
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        let length = rest.windows(2).position(is_apart).map_or(rest.len(), |at| at + 1);
        let (these, others) = rest.split_at(length);
        let last = these.last().unwrap_or(first);
        hunk(shown, texts, edits, first.saturating_sub(CONTEXT)..(last + 1 + CONTEXT).min(edits.len()));
        rest = others;
    }
}

fn hunk(shown: &mut String, (old, new): (&[&str], &[&str]), edits: &[Edit], range: Range<usize>) {
    let count = |edits: &[Edit], but: Edit| edits.iter().filter(|edit| **edit != but).count();
    let before = edits.get(..range.start).unwrap_or_default();
    let these = edits.get(range).unwrap_or_default();
    let (mut x, mut y) = (count(before, Edit::New), count(before, Edit::Gone));
    // Of nothing, the line before it.
    let place = |at: usize, length: usize| format!("{},{length}", at + usize::from(length > 0));
    let (gone, came) = (place(x, count(these, Edit::New)), place(y, count(these, Edit::Gone)));
    let _ = writeln!(shown, "@@ -{gone} +{came} @@");
    for edit in these {
        let (mark, line) = match edit {
            Edit::Same => (' ', old.get(x)),
            Edit::Gone => ('-', old.get(x)),
            Edit::New => ('+', new.get(y)),
        };
        x += usize::from(*edit != Edit::New);
        y += usize::from(*edit != Edit::Gone);
        let line = line.copied().unwrap_or_default();
        shown.push(mark);
        shown.push_str(&escape_for_display(line.as_bytes()));
        if !line.ends_with('\n') {
            shown.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(old: &str, new: &str) -> String {
        unified(&[Changed { name: "policy", old, new }])
    }

    /// The new lines, made of the old ones and the edits.
    fn applied<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<&'t str> {
        let (mut x, mut y, mut made) = (0, 0, Vec::new());
        for edit in edits(old, new) {
            match edit {
                Edit::Same => made.push(old[x]),
                Edit::New => made.push(new[y]),
                Edit::Gone => {}
            }
            x += usize::from(edit != Edit::New);
            y += usize::from(edit != Edit::Gone);
        }
        assert_eq!((x, y), (old.len(), new.len()));
        made
    }

    #[test]
    fn a_change_is_shown_with_what_stands_around_it_and_what_is_far_from_it_is_not() {
        let old: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\n").replace("line 12\n", "").replace("line 30\n", "");
        let lines = [
            "=== policy",
            "@@ -7,9 +7,8 @@",
            " line 7",
            " line 8",
            " line 9",
            "-line 10",
            "+line ten",
            " line 11",
            "-line 12",
            " line 13",
            " line 14",
            " line 15",
            "@@ -27,4 +26,3 @@",
            " line 27",
            " line 28",
            " line 29",
            "-line 30",
            "",
        ];
        assert_eq!(diff(&old, &new), lines.join("\n"));
        assert_eq!(diff(&old, &old), "");
    }

    #[test]
    fn nothing_hides_in_a_change() {
        let shown = diff("action: deny\n", "action: allow # \u{202E}ynd\u{200B}\u{1b}[2J\r\n");
        assert!(shown.contains("+action: allow # \\u{202E}ynd\\u{200B}\\u{001B}[2J\\r\n"), "{shown}");
        // Nor does a line that looks like one of the diff's own: it begins with what it is.
        let shown = diff("a\n-- b\n", "a\n=== map\n\\ No newline at end of file\n");
        assert!(shown.ends_with(" a\n--- b\n+=== map\n+\\\\ No newline at end of file\n"), "{shown}");
        // A space, a tab or a line feed is a change.
        assert!(diff("a\n", "a").ends_with("-a\n+a\n\\ No newline at end of file\n"));
        assert!(diff("  a\n", "\ta\n").ends_with("-  a\n+\ta\n"));
    }

    #[test]
    fn from_nothing_and_to_nothing() {
        assert!(diff("", "a\n").ends_with("@@ -0,0 +1,1 @@\n+a\n"));
        assert!(diff("a\n", "").ends_with("@@ -1,1 +0,0 @@\n-a\n"));
    }

    #[test]
    fn a_change_of_very_many_lines_is_shown_as_a_whole() {
        let text = |of: &str| (0..2000).map(|n| format!("{of} {n}\n")).collect::<String>();
        let shown = diff(&text("old"), &text("new"));
        let count = |mark: char| shown.lines().filter(|line| line.starts_with(mark)).count();
        assert_eq!((count('-'), count('+'), count(' ')), (2000, 2000, 0));
    }

    proptest! {
        #[test]
        fn whatever_has_changed_is_an_edit_and_they_are_as_few_as_can_be(
            old in proptest::collection::vec("[abc]", 0..12),
            new in proptest::collection::vec("[abc]", 0..12),
        ) {
            let old: Vec<_> = old.iter().map(String::as_str).collect();
            let new: Vec<_> = new.iter().map(String::as_str).collect();
            prop_assert_eq!(&applied(&old, &new), &new);
            // By the longest common subsequence, the slow way.
            let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
            for x in 0..old.len() {
                for y in 0..new.len() {
                    longest[x + 1][y + 1] = if old[x] == new[y] {
                        longest[x][y] + 1
                    } else {
                        longest[x][y + 1].max(longest[x + 1][y])
                    };
                }
            }
            let same = edits(&old, &new).iter().filter(|edit| **edit == Edit::Same).count();
            prop_assert_eq!(same, longest[old.len()][new.len()]);
        }

        #[test]
        fn no_change_is_shown_as_none_and_none_as_a_change(old in "[ab\n]{0,20}", new in "[ab\n]{0,20}") {
            prop_assert_eq!(old == new, diff(&old, &new).is_empty());
        }
    }
}

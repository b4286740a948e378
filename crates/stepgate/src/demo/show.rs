//! What the demo prints: numbered scenes, what was typed, what psql showed, and whether it held.

use std::io::IsTerminal as _;
use std::time::Duration;

/// Lines of a result that are shown; the rest is counted.
const SHOWN_LINES: usize = 12;
/// Characters of a line that are shown, so that wide rows do not wrap.
const SHOWN_WIDTH: usize = 110;

/// The stage's front.
pub(super) struct Show {
    colours: bool,
    scene: u32,
    held: u32,
    failed: u32,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

impl Show {
    pub(super) fn on_stdout() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colours, scene: 0, held: 0, failed: 0 }
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A numbered heading.
    pub(super) fn scene(&mut self, title: &str) {
        self.scene += 1;
        println!("\n{}", self.ink(Ink::Bold, &format!("{}. {title}", self.scene)));
    }

    /// A sentence of explanation.
    pub(super) fn say(&self, text: &str) {
        println!("   {}", self.ink(Ink::Dim, text));
    }

    /// What somebody types into psql.
    pub(super) fn typed(&self, person: &str, statement: &str) {
        println!("   {} {statement}", self.ink(Ink::Bold, &format!("{person}@shop=>")));
    }

    /// What somebody types into a shell.
    pub(super) fn command(&self, person: &str, line: &str) {
        println!("   {} {line}", self.ink(Ink::Bold, &format!("{person}$")));
    }

    /// What psql or a command printed.
    pub(super) fn printed<T: AsRef<str>>(&self, lines: &[T]) {
        let wanted = |line: &&T| !line.as_ref().trim().is_empty();
        let total = lines.iter().filter(wanted).count();
        for line in lines.iter().filter(wanted).take(SHOWN_LINES) {
            self.line(line.as_ref());
        }
        if total > SHOWN_LINES {
            println!("     {}", self.ink(Ink::Dim, &format!("… {} more lines", total - SHOWN_LINES)));
        }
    }

    /// One line that psql printed, as it comes.
    pub(super) fn line(&self, line: &str) {
        // A NOTICE is what the story is about: never cut.
        let told = ["NOTICE:", "DETAIL:", "HINT:", "ERROR:"].iter().any(|word| line.starts_with(word));
        let mut text: String = if told { line.to_owned() } else { line.chars().take(SHOWN_WIDTH).collect() };
        if !told && line.chars().count() > SHOWN_WIDTH {
            text.push('…');
        }
        println!("     {}", if told { self.ink(Ink::Yellow, &text) } else { text });
    }

    /// A fact that must hold. What is said must be true when it does, and readable when it does not.
    pub(super) fn check(&mut self, holds: bool, what: &str) {
        if holds {
            self.held += 1;
            println!("   {} {what}", self.ink(Ink::Green, "✓"));
        } else {
            self.failed += 1;
            println!(
                "   {} {}",
                self.ink(Ink::Red, "✗"),
                self.ink(Ink::Red, &format!("DID NOT HOLD: {what}"))
            );
        }
    }

    /// The play could not go on.
    pub(super) fn broke(&mut self, error: &stepgate_testkit::Error, log: &str) {
        self.failed += 1;
        println!("   {} the demo could not go on: {error}", self.ink(Ink::Red, "✗"));
        let tail: Vec<&str> = log.lines().rev().take(SHOWN_LINES).collect();
        if !tail.is_empty() {
            println!("   the end of the gate's log:");
            tail.into_iter().rev().for_each(|line| println!("     {line}"));
        }
    }

    /// Counts up.
    pub(super) fn result(&self, took: Duration) {
        let text =
            format!("{} checks held, {} did not, in {:.0} s", self.held, self.failed, took.as_secs_f64());
        println!("\n{}", self.ink(if self.failed == 0 { Ink::Green } else { Ink::Red }, &text));
    }

    /// How many checks did not hold.
    pub(super) const fn failed(&self) -> u32 {
        self.failed
    }

    pub(super) fn tidying(&self) {
        println!("{}", self.ink(Ink::Dim, "Stopping gate and PostgreSQL, removing their files."));
    }

    /// Text of its own, outside scenes.
    pub(super) fn plain(&self, text: &str) {
        println!("{text}");
    }

    /// Text to be noticed, outside scenes.
    pub(super) fn bold(&self, text: &str) {
        println!("{}", self.ink(Ink::Bold, text));
    }
}

/// How long something took, for reading.
pub(super) fn span(of: Duration) -> String {
    if of < Duration::from_secs(1) {
        format!("{} ms", of.as_millis())
    } else {
        format!("{:.1} s", of.as_secs_f64())
    }
}

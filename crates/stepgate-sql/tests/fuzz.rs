//! Mutilated statements: whatever a client sends, both readers end, soon, on a small stack, and a key never stands
//! for other facts than those of its text. `make fuzz SECONDS=600` runs it for longer.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test")]

mod common;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::{Random, clinic, corpus, session, snapshot};
use stepgate_sql::{Catalog, Facts, SessionState, analyze, cache_key, may_share};

/// How long one target runs where nothing else is said, in seconds.
const SECONDS: u64 = 2;

/// Stack of a worker of the gate's runtime, in bytes.
const STACK: usize = 2 * 1024 * 1024;

/// How long one text may take in a debug build on a busy machine. The gate is a hundred times faster; this is for
/// what grows without bounds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pieces by which statements become others.
const PIECES: [&str; 76] = [
    "'",
    "''",
    "\"",
    "$$",
    "$x$",
    "E'\\'",
    "U&'\\0041'",
    "U&\"\\0061\"",
    "uescape '!'",
    "--",
    "/*",
    "*/",
    "\n",
    "\r",
    "\t",
    ";",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "*",
    ".*",
    "::",
    ":",
    "=",
    "<>",
    "||",
    "->",
    "@>",
    "~",
    "!",
    "-",
    "1",
    "1e5",
    "$1",
    "null",
    "select",
    "from",
    "where",
    "union",
    "table",
    "only",
    "with",
    "as",
    "join",
    "using",
    "lateral",
    "isnull",
    "notnull",
    "case",
    "when",
    "end",
    "into",
    "values",
    "returning",
    "order by 1",
    "limit 1",
    "explain",
    "declare c cursor for",
    "prepare p as",
    "\u{e4}",
    "\u{1}",
    "any (",
    "(values (1))",
    "((select 1) union (select 2))",
    "t.*",
    "(t.*).a",
    "- -1",
    "n'x'",
    "0x1f",
    "treat(a as int)",
    "repeatable (1 + 1)",
    "fetch first (1) rows with ties",
    "json_table(a, '$' columns (nested '$' columns (b int)))",
];

impl Random {
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut text = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            match self.below(9) {
                0 => text.insert(at, u8::try_from(self.below(256)).expect("a byte")),
                1 if at < text.len() => drop(text.remove(at)),
                2 if at < text.len() => text[at] ^= 1 << self.below(8),
                3 => text.truncate(at),
                4 => {
                    let to = at + self.below((text.len() - at).min(40) + 1);
                    let piece = text[at..to].to_vec();
                    let times = [1, 2, 60, 900][self.below(4)];
                    text.splice(at..at, piece.repeat(times));
                }
                5 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    text.truncate(at);
                    text.extend_from_slice(&other[from..]);
                }
                _ => {
                    let piece = format!(" {} ", PIECES[self.below(PIECES.len())]);
                    let times = [1, 1, 1, 2, 300][self.below(5)];
                    text.splice(at..at, piece.repeat(times).into_bytes());
                }
            }
            text.truncate(200_000);
        }
        text
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let corpus = std::fs::read_to_string(corpus().join("statements.sql")).expect("the corpus");
    let lines = corpus.lines().filter(|line| !line.starts_with("--") && !line.is_empty()).map(str::to_owned);
    let harmless =
        include_str!("harmless.txt").lines().filter_map(|line| Some(line.split_once(": ")?.1.to_owned()));
    lines.chain(harmless).map(String::into_bytes).collect()
}

fn budget() -> Duration {
    let seconds = std::env::var("STEPGATE_FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

/// Runs `target` on mutilated seeds until the time is over; another run goes on with other ones.
fn fuzz(target: impl Fn(&[u8], &Catalog, &SessionState, &mut HashMap<Vec<u8>, Vec<Facts>>) + Send + 'static) {
    let cluster = clinic();
    let (catalog, session, seeds) = (snapshot(&cluster, "clinic"), session(), seeds());
    let seed = std::env::var("STEPGATE_FUZZ_SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x9e37);
    println!("STEPGATE_FUZZ_SEED={seed}");
    let fuzzed = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let (mut random, mut known) = (Random(seed), HashMap::new());
        let (began, mut count) = (Instant::now(), 0_usize);
        while began.elapsed() < budget() {
            let text = random.mutate(&seeds);
            let started = Instant::now();
            target(&text, &catalog, &session, &mut known);
            assert!(started.elapsed() < PATIENCE, "{:?} for {:?}", started.elapsed(), shown(&text));
            count += 1;
        }
        count
    });
    let count = fuzzed.expect("a thread").join().expect("no panic");
    println!("{count} texts");
    assert!(count > 100, "{count}");
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(400)]).into_owned()
}

#[test]
fn both_readers_end_whatever_is_sent() {
    fuzz(|text, catalog, session, _| {
        let all = analyze(text, catalog, session);
        // Nothing that was sent comes out but names that the catalog has, and no more than fits into a record.
        assert!(all.iter().all(|facts| facts.normalised.len() <= Facts::MAX_NORMALISED), "{}", shown(text));
        assert!(all.len() <= text.len() + 1, "{}", shown(text));
    });
}

#[test]
fn a_key_stands_for_one_set_of_facts_whatever_is_sent() {
    fuzz(|text, catalog, session, known| {
        let mut key = Vec::new();
        cache_key(text, &mut key);
        let facts = analyze(text, catalog, session);
        match known.get(&key) {
            Some(cached) => assert_eq!(*cached, facts, "{}", shown(text)),
            None if may_share(&facts) && known.len() < 100_000 => drop(known.insert(key, facts)),
            None => {}
        }
    });
}

//! What a client may send, at random: sound pipelines, and soups of frames that no driver would cook.

/// A fixed sequence (xorshift), so that a failure repeats.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count.max(1) as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// One message of the client's.
pub(crate) type Frame = Vec<u8>;

/// Names of prepared statements and portals: few, so that they meet. SQL uses `s1`, `ps`, `c` and `p1`, too.
const STATEMENTS: [&str; 5] = ["", "", "s1", "s2", "ps"];
const PORTALS: [&str; 5] = ["", "", "p1", "p2", "c"];

/// What may be sent in any protocol, and leaves every name as it was.
pub(crate) const PLAIN: &[&str] = &[
    "select 1",
    "select * from t order by a",
    "select a from t where a > 2 order by a",
    "select a, b from public.t order by a limit 1",
    "table t",
    "values (1, 'x'), (2, 'y')",
    "select generate_series(1, 7)",
    "select count(*), max(b) from t",
    "select 1 / 0",
    "select 1 / (a - 2) from t order by a",
    "select nope from t",
    "select * from nowhere",
    "selec 1",
    "select 'x",
    "",
    ";",
    "-- nothing",
    "select 1;",
    "insert into t values (7, 'seven')",
    "insert into t values (8, 'eight') returning a, b",
    "insert into t select a + 100, b from t where a < 3",
    "update t set b = b || '.' where a < 3",
    "update t set a = a where a = 2 returning *",
    "delete from t where a > 50",
    "explain (costs off) select * from t",
    "show search_path",
    "show transaction isolation level",
    "set local work_mem = '1MB'",
    "set search_path = pg_catalog, public",
    "set search_path = public",
    "reset search_path",
    "lock table t in access share mode",
    "select current_setting('transaction_isolation')",
    "with x as (insert into t values (9, 'nine') returning a) select * from x",
];

/// The ones among them that nobody can read.
const UNREADABLE: [&str; 2] = ["selec 1", "select 'x"];

/// What begins, ends and divides transactions.
const TRANSACTIONS: &[&str] = &[
    "begin",
    "begin",
    "start transaction isolation level repeatable read",
    "begin read only",
    "commit",
    "commit",
    "end",
    "rollback",
    "rollback",
    "savepoint s",
    "rollback to s",
    "release s",
    "set transaction isolation level serializable",
    "commit and chain",
];

/// What makes and drops names that SQL and protocol share.
const NAMES: &[&str] = &[
    "prepare ps as select a from t order by a",
    "prepare s1 as select 'of sql'",
    "execute ps",
    "execute s1",
    "execute s2",
    "deallocate ps",
    "deallocate s1",
    "deallocate all",
    "declare c cursor for select a, b from t order by a",
    "declare p1 cursor with hold for select 'held'",
    "declare c scroll cursor for values (1), (2), (3)",
    "fetch 2 from c",
    "fetch all from c",
    "fetch backward 1 from c",
    "fetch from p1",
    "fetch p2",
    "move 1 from c",
    "close c",
    "close p1",
    "close all",
    "delete from t where current of c",
    "discard plans",
];

/// What runs code, or changes what names mean.
const WILD: &[&str] = &[
    "do $$ begin raise notice 'hello'; end $$",
    "do $$ begin execute 'deallocate all'; end $$",
    "do $$ begin perform 1 / 0; end $$",
    "select shout('x')",
    "create temp table mine (x int)",
    "create temp table t (a text)",
    "insert into mine values (1)",
    "select * from mine",
    "drop table mine",
    "drop table if exists pg_temp.t",
    "create temp view look as select a from public.t",
    "select * from look",
    "discard temp",
    "set session authorization default",
    "set client_min_messages = warning",
    "set client_min_messages = notice",
    "select * from no_such_table_with_a_name_that_is_longer_than_sixty_three_bytes_are",
    "set datestyle = 'German'",
    "set timezone = 'Europe/Vienna'",
    "select date '2026-11-28'",
    "listen something",
    "unlisten *",
    "create table never (x int)",
];

/// Several statements in one message: a Query alone may be that.
const SEVERAL: &[&str] = &[
    "select 1; select 2",
    "insert into t values (20, 'x'); select 1 / 0; select 3",
    "begin; select 1",
    "select 1; commit; select 2",
    "begin; insert into t values (21, 'y'); commit; select 1 / 0",
    "select 1; rollback; select 2",
    "begin; select 1 / 0; commit",
    "; ; select 1",
    "prepare ps as select 1; execute ps",
    "select 1; copy (select 1) to stdout; select 2",
];

const COPIES_OUT: &[&str] =
    &["copy t to stdout", "copy (select a from t order by a limit 2) to stdout", "copy t (b) to stdout csv"];
const COPIES_IN: &[&str] = &["copy t from stdin", "copy t (a) from stdin", "copy t from stdin csv"];
const WITH_VALUES: &[&str] =
    &["select $1::int + 1", "select a, b from t where a = $1", "insert into t values ($1, 'bound')"];
const VALUES: &[&str] = &["1", "2", "30", "x", ""];

/// Which statements there are besides those that only ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pool {
    /// Statements that somebody has an opinion on, and how often one in so many is one.
    pub(crate) special: &'static [&'static str],
    /// The same, by Query alone.
    pub(crate) special_several: &'static [&'static str],
    /// The same, of a COPY in.
    pub(crate) special_in: &'static [&'static str],
    pub(crate) one_in: usize,
    /// Whether anything may run.
    pub(crate) wild: bool,
}

/// A client that sends at random, and remembers a little of what it sent.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) random: Random,
    pool: Pool,
    /// Statements of the protocol that were given a parameter, by name.
    with_value: Vec<&'static str>,
}

pub(crate) fn frame(tag: u8, body: &[u8]) -> Frame {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

pub(crate) fn query(sql: &str) -> Frame {
    frame(b'Q', format!("{sql}\0").as_bytes())
}

pub(crate) fn parse(name: &str, sql: &str) -> Frame {
    frame(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

pub(crate) fn bind(portal: &str, statement: &str, values: &[&str]) -> Frame {
    let mut body = format!("{portal}\0{statement}\0\0\0").into_bytes();
    body.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0, 0]);
    frame(b'B', &body)
}

fn named(tag: u8, kind: u8, name: &str) -> Frame {
    frame(tag, &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub(crate) fn execute(portal: &str, rows: u32) -> Frame {
    frame(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

pub(crate) fn sync() -> Frame {
    frame(b'S', b"")
}

/// What ends a program whatever went before: nothing is being copied or skipped any more. Its last replies are
/// [`ENDING`], in every state of a transaction.
pub(crate) fn ending() -> Vec<Frame> {
    let close = named(b'C', b'S', "the end");
    [frame(b'f', b"the end\0"), sync()].into_iter().chain(vec![close; 7]).chain([sync()]).collect()
}

pub(crate) fn goodbye() -> Frame {
    frame(b'X', b"")
}

/// See [`ending`].
pub(crate) const ENDING: &[u8] = b"3333333Z";

impl Client {
    pub(crate) fn new(seed: u64, pool: Pool) -> Self {
        Self { random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), pool, with_value: Vec::new() }
    }

    /// One of the statements that may be sent in any protocol.
    fn statement(&mut self) -> &'static str {
        if !self.pool.special.is_empty() && self.random.one_in(self.pool.one_in) {
            return self.random.pick(self.pool.special);
        }
        let statement = self.any_statement();
        // What cannot be read may have done anything, for all that the gate knows.
        if self.pool.wild || !UNREADABLE.contains(&statement) { statement } else { "select 1 / 0" }
    }

    fn any_statement(&mut self) -> &'static str {
        match self.random.below(20) {
            0..=8 => self.random.pick(PLAIN),
            9..=12 => self.random.pick(TRANSACTIONS),
            13..=15 => self.random.pick(NAMES),
            16 => self.random.pick(COPIES_OUT),
            _ if self.pool.wild => self.random.pick(WILD),
            _ => self.random.pick(PLAIN),
        }
    }

    fn copy_in(&mut self) -> &'static str {
        if self.pool.special_in.is_empty() || self.random.one_in(2) {
            return self.random.pick(COPIES_IN);
        }
        self.random.pick(self.pool.special_in)
    }

    /// What follows a COPY FROM STDIN, mostly.
    fn copied(&mut self, frames: &mut Vec<Frame>) {
        // In the middle of data, the server would answer it or not by whether it had failed before.
        if self.random.one_in(8) {
            frames.push(sync());
        }
        for _ in 0..self.random.below(4) {
            let line =
                self.random.pick(&["61\tcopied\n", "62\tcopied\n63\t", "\\N\tnull\n", "bad\n", "", "64,c\n"]);
            frames.push(frame(b'd', line.as_bytes()));
        }
        if self.random.one_in(12) {
            frames.push(frame(b'H', b""));
        }
        match self.random.below(8) {
            0 => frames.push(frame(b'f', b"enough\0")),
            _ => frames.push(frame(b'c', b"")),
        }
    }

    /// The next frames; the ending is not among them.
    pub(crate) fn program(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for _ in 0..=self.random.below(6) {
            match self.random.below(20) {
                0..=5 => {
                    let sql = self.statement();
                    frames.push(query(sql));
                }
                6 => {
                    let several = self.pool.special_several;
                    let sql = if !self.pool.wild {
                        "select 1; select 2"
                    } else if several.is_empty() || self.random.one_in(2) {
                        self.random.pick(SEVERAL)
                    } else {
                        self.random.pick(several)
                    };
                    frames.push(query(sql));
                }
                7 => {
                    frames.push(query(self.copy_in()));
                    self.copied(&mut frames);
                }
                8 => {
                    let copy = self.copy_in();
                    frames.extend([parse("", copy), bind("", "", &[]), execute("", 0)]);
                    if self.random.one_in(3) {
                        frames.push(sync());
                    }
                    self.copied(&mut frames);
                    frames.push(sync());
                }
                9..=15 => self.extended(&mut frames),
                _ => {
                    for _ in 0..=self.random.below(5) {
                        let one = self.soup();
                        frames.push(one);
                    }
                }
            }
        }
        frames
    }

    /// Parse, Bind, Execute and what may stand between them.
    fn extended(&mut self, frames: &mut Vec<Frame>) {
        for _ in 0..=self.random.below(3) {
            let (name, portal) = (self.random.pick(&STATEMENTS), self.random.pick(&PORTALS));
            if !name.is_empty() && self.random.one_in(2) {
                frames.push(named(b'C', b'S', name));
            }
            let values: &[&str] = if self.random.one_in(4) {
                frames.push(parse(name, self.random.pick(WITH_VALUES)));
                &[VALUES[self.random.below(VALUES.len())]]
            } else {
                frames.push(parse(name, self.statement()));
                &[]
            };
            self.with_value.retain(|it| *it != name);
            if !values.is_empty() {
                self.with_value.push(name);
            }
            if self.random.one_in(3) {
                frames.push(named(b'D', b'S', name));
                if self.random.one_in(3) {
                    frames.push(sync());
                }
            }
            if self.random.one_in(8) {
                frames.push(frame(b'H', b""));
            }
            frames.push(bind(portal, name, values));
            if self.random.one_in(2) {
                frames.push(named(b'D', b'P', portal));
            }
            let rows = [0, 0, 1, 2][self.random.below(4)];
            frames.push(execute(portal, rows));
            if rows > 0 && self.random.one_in(2) {
                if self.random.one_in(3) {
                    frames.push(frame(b'H', b""));
                }
                frames.push(execute(portal, rows));
            }
            if !portal.is_empty() && self.random.one_in(2) {
                frames.push(named(b'C', b'P', portal));
            }
            if self.random.one_in(3) {
                frames.push(sync());
            }
        }
        if !self.random.one_in(4) {
            frames.push(sync());
        }
    }

    fn soup(&mut self) -> Frame {
        let (name, portal) = (self.random.pick(&STATEMENTS), self.random.pick(&PORTALS));
        match self.random.below(16) {
            0 | 1 => parse(name, self.statement()),
            2..=4 => {
                let value = [VALUES[self.random.below(VALUES.len())]];
                let takes = self.with_value.contains(&name);
                bind(portal, name, if takes { &value } else { &[] })
            }
            5..=7 => execute(portal, u32::try_from(self.random.below(3)).unwrap()),
            8 => named(b'D', b'S', name),
            9 => named(b'D', b'P', portal),
            10 => named(b'C', b'S', name),
            11 => named(b'C', b'P', portal),
            12 => frame(b'H', b""),
            13 => [frame(b'd', b"70\tstray\n"), frame(b'c', b""), frame(b'f', b"stray\0")]
                [self.random.below(3)]
            .clone(),
            _ => sync(),
        }
    }
}

/// A program as people can read it.
pub(crate) fn shown(frames: &[Frame]) -> String {
    let one = |frame: &Frame| format!("  {} {}\n", char::from(frame[0]), frame[5..].escape_ascii());
    frames.iter().map(one).collect()
}

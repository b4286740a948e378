//! A small PostgreSQL: statements, portals, transactions, COPY, skipping, buffering, by the rules of postgres.c.

use std::collections::HashMap;

use super::support::{error, frame, ready};

/// How many rows every query has.
const ROWS: usize = 3;

/// A portal or cursor.
struct Portal {
    text: String,
    at: usize,
    ran: bool,
    /// How many there were before it.
    born: usize,
}

pub(crate) struct Server {
    /// Text, and whether SQL prepared it.
    statements: HashMap<String, (String, bool)>,
    portals: HashMap<String, Portal>,
    born: usize,
    /// How many portals there had been at each savepoint that stands.
    savepoints: Vec<usize>,
    status: u8,
    skipping: bool,
    /// The client has been slow in the middle of a segment: a timeout strikes at whatever comes next.
    overdue: bool,
    /// It will be, once it has read what it has flushed.
    slow: bool,
    /// At what it did.
    pub(crate) struck: Vec<Vec<u8>>,
    /// Reading COPY data, for a Query or not.
    copy: Option<bool>,
    /// Not sent before something flushes it.
    buffered: Vec<u8>,
    pub(crate) sent: Vec<u8>,
    /// What was run, by the texts that read or write.
    pub(crate) ran: Vec<String>,
    pub(crate) dead: bool,
    /// Texts that are refused where the gate would refuse them.
    refuses: fn(&str) -> bool,
}

/// SQLSTATE and message.
type Failure = (&'static str, String);

impl Server {
    pub(crate) fn new(refuses: fn(&str) -> bool) -> Self {
        Self {
            statements: HashMap::new(),
            portals: HashMap::new(),
            born: 0,
            savepoints: Vec::new(),
            status: b'I',
            skipping: false,
            overdue: false,
            slow: false,
            struck: Vec::new(),
            copy: None,
            buffered: Vec::new(),
            sent: Vec::new(),
            ran: Vec::new(),
            dead: false,
            refuses,
        }
    }

    fn say(&mut self, tag: u8, body: &[u8]) {
        self.buffered.extend(frame(tag, body));
    }

    fn flush(&mut self) {
        self.sent.append(&mut self.buffered);
    }

    fn ready(&mut self) {
        // What a Sync or Query has ended takes no longer.
        self.slow = false;
        if self.status == b'I' {
            self.portals.clear();
        }
        self.buffered.extend(ready(self.status));
        self.flush();
    }

    fn fail(&mut self, (code, message): Failure) {
        self.buffered.extend(error(code, &message));
        self.flush();
        match self.status {
            b'I' => self.portals.clear(),
            _ => self.status = b'E',
        }
    }

    /// Takes one message.
    pub(crate) fn take(&mut self, message: &[u8]) {
        if self.dead {
            return;
        }
        let (tag, body) = (message[0], &message[5..]);
        if let Some(simple) = self.copy {
            return self.copying(simple, tag, body);
        }
        // SocketBackend and PostgresMain of postgres.c.
        if self.skipping && !matches!(tag, b'S' | b'X') {
            return;
        }
        if std::mem::take(&mut self.overdue) {
            self.struck.push(message.to_vec());
            self.fail(("57014", "statement timeout".to_owned()));
            self.skipping = matches!(tag, b'P' | b'B' | b'D' | b'C' | b'E' | b'H');
            if !self.skipping {
                self.ready();
            }
            return;
        }
        match tag {
            b'Q' => {
                self.statements.remove("");
                self.portals.remove("");
                let text = text(body);
                let done = self.simple(&text);
                if let Err(failure) = done {
                    self.fail(failure);
                }
                if self.copy.is_none() {
                    self.ready();
                }
            }
            b'S' => {
                self.skipping = false;
                self.ready();
            }
            b'H' => {
                self.flush();
                self.overdue = std::mem::take(&mut self.slow);
            }
            b'X' => self.dead = true,
            b'd' | b'c' | b'f' => {}
            b'F' => {
                self.fail(("0A000", "no functions".to_owned()));
                self.ready();
            }
            _ => {
                if let Err(failure) = self.extended(tag, body) {
                    self.fail(failure);
                    self.skipping = true;
                }
            }
        }
    }

    fn copying(&mut self, simple: bool, tag: u8, body: &[u8]) {
        let failure = match tag {
            b'd' if body.starts_with(b"bad") => ("22P04", "extra data".to_owned()),
            b'd' | b'H' | b'S' => return,
            b'c' => {
                self.copy = None;
                self.say(b'C', b"COPY 1\0");
                if simple {
                    self.ready();
                }
                return;
            }
            b'f' => ("57014", "COPY from stdin failed".to_owned()),
            b'X' => {
                self.dead = true;
                return;
            }
            _ => {
                self.sent.extend(error("08P01", "unexpected message type"));
                self.dead = true;
                return;
            }
        };
        self.copy = None;
        self.fail(failure);
        if simple { self.ready() } else { self.skipping = true }
    }

    fn simple(&mut self, text: &str) -> Result<(), Failure> {
        parses(text)?;
        if text.is_empty() {
            self.say(b'I', b"");
            return Ok(());
        }
        self.not_aborted(text)?;
        if self.is_refused(text) {
            return Err(("42501", text.to_owned()));
        }
        if returns_rows(text) {
            self.say(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
        }
        self.run(text, true).map(drop)
    }

    fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), Failure> {
        let mut names = body.split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned());
        let (first, second) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        match tag {
            b'P' => self.parse(first, second)?,
            b'B' => self.bind(first, &second)?,
            b'E' => self.execute(&first, body)?,
            b'C' => {
                let (kind, name) = first.split_at(1);
                if kind == "S" {
                    self.statements.remove(name);
                } else {
                    self.portals.remove(name);
                }
                self.say(b'3', b"");
            }
            b'D' => {
                let (kind, name) = first.split_at(1);
                let text = if kind == "S" {
                    self.statements.get(name).map(|(text, _)| text.clone())
                } else {
                    self.portals.get(name).map(|portal| portal.text.clone())
                };
                // In the same words as of a Bind or Execute.
                let code = if kind == "S" { "26000" } else { "34000" };
                let text = text.ok_or((code, format!("{name} does not exist")))?;
                if returns_rows(&text) {
                    self.not_aborted(&text)?;
                }
                if kind == "S" {
                    self.say(b't', b"\0\0");
                }
                if returns_rows(&text) {
                    self.say(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
                } else {
                    self.say(b'n', b"");
                }
            }
            _ => return Err(("08P01", "what is this?".to_owned())),
        }
        Ok(())
    }

    fn parse(&mut self, name: String, text: String) -> Result<(), Failure> {
        if name.is_empty() {
            self.statements.remove("");
        }
        parses(&text)?;
        self.not_aborted(&text)?;
        if self.statements.contains_key(&name) {
            return Err(("42P05", format!("{name} exists")));
        }
        (self.overdue, self.slow) = (text.ends_with("app.slow"), text.ends_with("app.slow limit 1"));
        self.statements.insert(name, (text, false));
        self.say(b'1', b"");
        Ok(())
    }

    /// Whether the gate would refuse it, or what it executes.
    fn is_refused(&self, text: &str) -> bool {
        let executed = text.strip_prefix("execute ").and_then(|name| self.statements.get(name));
        (self.refuses)(executed.map_or(text, |(text, _)| text))
    }

    fn bind(&mut self, portal: String, statement: &str) -> Result<(), Failure> {
        let known = self.statements.get(statement).map(|(text, _)| text.clone());
        let text = known.ok_or(("26000", format!("{statement} does not exist")))?;
        self.not_aborted(&text)?;
        if self.is_refused(&text) {
            return Err(("42501", text));
        }
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            return Err(("42P03", format!("{portal} exists")));
        }
        self.opens(portal, text);
        self.say(b'2', b"");
        Ok(())
    }

    fn opens(&mut self, name: String, text: String) {
        self.portals.insert(name, Portal { text, at: 0, ran: false, born: self.born });
        self.born += 1;
    }

    fn execute(&mut self, name: &str, body: &[u8]) -> Result<(), Failure> {
        let rows = body.get(name.len() + 1..name.len() + 5).map_or(0, |rows| usize::from(rows[3]));
        let Some(portal) = self.portals.get(name) else {
            return Err(("34000", format!("{name} does not exist")));
        };
        let (text, ran) = (portal.text.clone(), portal.ran);
        if text.is_empty() {
            self.say(b'I', b"");
            return Ok(());
        }
        self.not_aborted(&text)?;
        if is_query(&text) {
            self.ran.push(text);
            if self.rows_of(name, rows) {
                self.say(b's', b"");
            } else {
                self.say(b'C', b"SELECT\0");
            }
            return Ok(());
        }
        if ran {
            return Err(("55000", "it cannot be run again".to_owned()));
        }
        if let Some(portal) = self.portals.get_mut(name) {
            portal.ran = true;
        }
        self.run(&text, false).map(drop)
    }

    /// Some rows of a portal; whether there may be more.
    fn rows_of(&mut self, name: &str, most: usize) -> bool {
        let Some(portal) = self.portals.get_mut(name) else { return false };
        let left = ROWS - portal.at;
        let now = if most == 0 { left } else { left.min(most) };
        portal.at += now;
        (0..now).for_each(|_| self.say(b'D', b"\0\x01\0\0\0\x01x"));
        most > 0 && now == most
    }

    fn not_aborted(&self, text: &str) -> Result<(), Failure> {
        if self.status == b'E' && !matches!(text, "commit" | "rollback" | "rollback to a" | "") {
            return Err(("25P02", "current transaction is aborted".to_owned()));
        }
        Ok(())
    }

    /// Runs a statement to its end, or to where COPY data are read.
    fn run(&mut self, text: &str, simple: bool) -> Result<(), Failure> {
        self.ran.push(text.to_owned());
        let words: Vec<&str> = text.split(' ').collect();
        let tag = match *words.as_slice() {
            ["begin"] => {
                self.status = b'T';
                "BEGIN"
            }
            ["commit" | "rollback"] => {
                self.status = b'I';
                self.portals.clear();
                self.savepoints.clear();
                "COMMIT"
            }
            ["savepoint" | "release" | "rollback", ..] if self.status == b'I' => {
                return Err(("25P01", "in transactions only".to_owned()));
            }
            ["savepoint", _] => {
                self.savepoints.push(self.born);
                "SAVEPOINT"
            }
            ["release", _] => {
                self.savepoints.pop().ok_or(("3B001", "no such savepoint".to_owned()))?;
                "RELEASE"
            }
            ["rollback", "to", _] => {
                let born = *self.savepoints.last().ok_or(("3B001", "no such savepoint".to_owned()))?;
                // That of this very statement is among them.
                self.portals.retain(|_, portal| portal.born < born);
                self.status = b'T';
                "ROLLBACK"
            }
            ["select", "1/0"] => return Err(("22012", "division by zero".to_owned())),
            ["select", first, ..] if first.starts_with("pg_catalog.array_to_json") => {
                self.names();
                "SELECT 1"
            }
            ["select", ..] => {
                (0..ROWS).for_each(|_| self.say(b'D', b"\0\x01\0\0\0\x01x"));
                "SELECT 3"
            }
            ["insert", ..] => "INSERT 0 1",
            ["copy", _, "from", ..] => {
                self.copy = Some(simple);
                self.say(b'G', b"\0\0\0");
                self.flush();
                return Ok(());
            }
            ["copy", ..] => {
                self.say(b'H', b"\0\0\0");
                self.say(b'd', b"row\n");
                self.say(b'c', b"");
                "COPY 1"
            }
            ["prepare", name, "as", ..] => {
                if self.statements.contains_key(name) {
                    return Err(("42P05", format!("{name} exists")));
                }
                let then = text.split_once(" as ").map(|(_, then)| then.to_owned()).unwrap_or_default();
                self.statements.insert(name.to_owned(), (then, true));
                "PREPARE"
            }
            ["execute", name] => {
                let known = self.statements.get(name).map(|(text, _)| text.clone());
                let then = known.ok_or(("26000", format!("{name} does not exist")))?;
                if !is_query(&then) {
                    return Err(("0A000", "not here".to_owned()));
                }
                self.ran.push(then);
                self.say(b'D', b"\0\x01\0\0\0\x01x");
                "SELECT 1"
            }
            ["deallocate", "all"] => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            ["deallocate", name] => {
                self.statements.remove(name).ok_or(("26000", format!("{name} does not exist")))?;
                "DEALLOCATE"
            }
            ["declare", name, "cursor", "for", ..] => {
                if self.status == b'I' {
                    return Err(("25P01", "in transactions only".to_owned()));
                }
                if self.portals.contains_key(name) {
                    return Err(("42P03", format!("{name} exists")));
                }
                let then = text.split_once(" for ").map(|(_, then)| then.to_owned()).unwrap_or_default();
                self.opens(name.to_owned(), then);
                "DECLARE CURSOR"
            }
            ["fetch", _, "from", name] => {
                let portal = self.portals.get(name).ok_or(("34000", format!("{name} does not exist")))?;
                if !is_query(&portal.text) {
                    return Err(("55000", "not a query".to_owned()));
                }
                let text = portal.text.clone();
                self.ran.push(text);
                self.rows_of(name, 2);
                "FETCH 2"
            }
            ["close", name] => {
                self.portals.remove(name).ok_or(("34000", format!("{name} does not exist")))?;
                "CLOSE CURSOR"
            }
            _ => return Err(("0A000", format!("{text}?"))),
        };
        self.say(b'C', format!("{tag}\0").as_bytes());
        Ok(())
    }

    /// The answer to the gate's own question.
    fn names(&mut self) {
        let mut made: Vec<_> =
            self.statements.iter().filter(|(_, (_, sql))| *sql).map(|(name, _)| name).collect();
        made.sort();
        let settings = r#"["read committed","read committed",null,null,"analyst","analyst"]"#;
        let texts = [r#"["pg_catalog","app","public"]"#.to_owned(), format!("{made:?}"), settings.to_owned()];
        let mut body = vec![0, 3];
        for text in texts {
            body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            body.extend(text.as_bytes());
        }
        self.say(b'D', &body);
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body)).into_owned()
}

fn parses(text: &str) -> Result<(), Failure> {
    if text.starts_with("selec ") || text.contains("sg_denied") {
        return Err(("42601", format!("syntax error at or near \"{text}\"")));
    }
    Ok(())
}

/// Whether a portal of it can be gone on with.
fn is_query(text: &str) -> bool {
    text.starts_with("select a")
}

fn returns_rows(text: &str) -> bool {
    text.starts_with("select") || text.starts_with("fetch") || text.starts_with("execute")
}

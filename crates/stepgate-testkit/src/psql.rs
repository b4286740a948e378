//! The real psql, in one process for as long as this lives, fed a statement at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Error;

/// Printed by psql's own `\echo` after each statement: how we know that it ended, and how.
const MARK: &str = "@@stepgate-testkit";

/// How long a line that is not waited for specially may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A running psql.
#[derive(Debug)]
pub struct Psql {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    sent: Instant,
    shown: Vec<String>,
}

/// How a statement ended.
#[derive(Debug, Clone)]
pub struct Reply {
    /// SQLSTATE; `00000` is success.
    pub sqlstate: String,
    /// Everything that psql printed since the statement was sent, notices and errors where they came.
    pub lines: Vec<String>,
    /// From sending to the end.
    pub took: Duration,
}

impl Reply {
    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.sqlstate == "00000"
    }

    /// All lines, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

impl Psql {
    /// Runs psql as prepared (program, connection), without psqlrc, notices and rows in one stream.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command) -> Result<Self, Error> {
        let (reader, writer) = std::io::pipe().map_err(Error::doing("making a pipe"))?;
        let errors = writer.try_clone().map_err(Error::doing("making a pipe"))?;
        command.args(["-X", "-q", "-v", "SHOW_CONTEXT=never"]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(errors)
            .spawn()
            .map_err(Error::doing("starting psql"))?;
        // The command holds the writing ends; end-of-file comes only once they are closed here too.
        drop(command);
        let input = process.stdin.take();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, input, lines, sent: Instant::now(), shown: Vec::new() })
    }

    /// Sends a statement (with its semicolon) or a backslash command; does not wait.
    ///
    /// # Errors
    /// psql is gone.
    pub fn send(&mut self, statement: &str) -> Result<(), Error> {
        self.shown.clear();
        self.sent = Instant::now();
        let input = self.input.as_mut().ok_or_else(|| Error::new("psql has been closed"))?;
        writeln!(input, "{statement}\n\\echo {MARK} :SQLSTATE")
            .and_then(|()| input.flush())
            .map_err(Error::doing("writing to psql"))
    }

    /// Waits for a line that `probe` finds something in; lines before it are kept for the reply.
    ///
    /// # Errors
    /// The statement ended, psql ended, or `limit` passed before such a line came.
    pub fn line<T>(
        &mut self,
        what: &str,
        limit: Duration,
        probe: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let until = Instant::now() + limit;
        loop {
            let line = self.receive(what, until)?;
            if line.starts_with(MARK) {
                return Err(Error::new(format!("psql finished without {what}:\n{}", self.shown.join("\n"))));
            }
            let found = probe(&line);
            self.shown.push(line);
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Waits for the end of what was sent.
    ///
    /// # Errors
    /// psql ended, or `limit` passed.
    pub fn finish(&mut self, limit: Duration) -> Result<Reply, Error> {
        let until = Instant::now() + limit;
        loop {
            let line = self.receive("the end of a statement", until)?;
            let Some(sqlstate) = line.strip_prefix(MARK) else {
                self.shown.push(line);
                continue;
            };
            let lines = std::mem::take(&mut self.shown);
            return Ok(Reply { sqlstate: sqlstate.trim().to_owned(), lines, took: self.sent.elapsed() });
        }
    }

    /// Whether nothing has come for the statement that was sent, after waiting a moment: it is held.
    #[must_use]
    pub fn is_silent_for(&mut self, moment: Duration) -> bool {
        match self.lines.recv_timeout(moment) {
            Ok(line) => {
                self.shown.push(line);
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Sends, and waits for the end.
    ///
    /// # Errors
    /// psql ended, or a minute passed.
    pub fn run(&mut self, statement: &str) -> Result<Reply, Error> {
        self.send(statement)?;
        self.finish(LIMIT)
    }

    /// What came since the last statement was sent.
    #[must_use]
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// Since when the statement runs.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.sent.elapsed()
    }

    /// Ctrl-C. A psql that reads from a pipe cancels its statement, prints the error and ends.
    ///
    /// # Errors
    /// It has ended.
    pub fn interrupt(&self) -> Result<(), Error> {
        crate::supervised::signal(self.process.id(), "INT")
    }

    /// Sends psql itself a signal: `STOP`, and it reads nothing any more, until `CONT`.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn signal(&self, signal: &str) -> Result<(), Error> {
        crate::supervised::signal(self.process.id(), signal)
    }

    /// Waits until psql has ended by itself; all lines since the last statement was sent.
    ///
    /// # Errors
    /// `limit` passed.
    pub fn ended(&mut self, limit: Duration) -> Result<Vec<String>, Error> {
        let until = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.shown.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(std::mem::take(&mut self.shown)),
                Err(RecvTimeoutError::Timeout) => return Err(Error::new("psql did not end")),
            }
        }
    }

    fn receive(&self, what: &str, until: Instant) -> Result<String, Error> {
        self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => "waited in vain for",
                RecvTimeoutError::Disconnected => "psql ended before",
            };
            Error::new(format!("{why} {what}; psql had printed:\n{}", self.shown.join("\n")))
        })
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

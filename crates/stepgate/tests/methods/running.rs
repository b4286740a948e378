//! A command of the program that is spoken to while it runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use stepgate_testkit::Gate;

/// Ended when dropped.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(gate: &Gate, arguments: &[&str]) -> Self {
        let mut command = gate.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), output, child }
    }

    /// The next line that it prints; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The next line as it is; empty once it says nothing more.
    pub(crate) fn line_or_end(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn type_in(&mut self, line: &str) {
        // It may have ended by then, which its status tells.
        let _ = writeln!(self.input.as_mut().unwrap(), "{line}");
    }

    /// Its status, once it has ended though it could still read.
    pub(crate) fn ended_by_itself(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    /// Its status, once it has ended.
    pub(crate) fn ended(&mut self) -> i32 {
        self.input = None;
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

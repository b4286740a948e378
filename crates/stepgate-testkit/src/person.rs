//! People of a gate, added and enrolled by the commands that an operator types.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::{Authenticator, Error, Gate, Outcome};

/// Somebody with a password and an authenticator.
#[derive(Debug)]
pub struct Person {
    name: String,
    password: String,
    codes: Codes,
}

/// Where a person's codes come from.
#[derive(Debug)]
enum Codes {
    /// Within this process, running ahead of the clock as far as the gate allows: tests need not wait.
    Here(Box<Authenticator>),
    /// An authenticator of its own process, in real time, as a phone would be.
    Phone(Phone),
}

/// A running `stepgate demo-authenticator`.
#[derive(Debug)]
struct Phone {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Person {
    /// `user add` with `--groups`, then `enroll totp` with an authenticator in this process.
    ///
    /// # Errors
    /// What the commands said.
    pub fn add(gate: &Gate, name: &str, groups: &str) -> Result<Self, Error> {
        Self::add_with(gate, name, groups, |uri| Ok(Codes::Here(Box::new(Authenticator::enrol(uri)?))))
    }

    /// The same with an authenticator in a process of its own.
    ///
    /// # Errors
    /// What the commands said.
    pub fn add_with_phone(gate: &Gate, name: &str, groups: &str) -> Result<Self, Error> {
        Self::add_with(gate, name, groups, |uri| Phone::start(gate, uri).map(Codes::Phone))
    }

    fn add_with(
        gate: &Gate,
        name: &str,
        groups: &str,
        enrol: impl FnOnce(&str) -> Result<Codes, Error>,
    ) -> Result<Self, Error> {
        let password = format!("{name}-{:08x}", std::process::id());
        let mut arguments = vec!["user", "add", name];
        if !groups.is_empty() {
            arguments.extend(["--groups", groups]);
        }
        gate.run(arguments, &format!("{password}\n"))?.ok()?;
        let codes = enroll_totp(gate, name, enrol)?;
        Ok(Self { name: name.to_owned(), password, codes })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A code that was not given before; waits for one where it must (up to 30 s).
    ///
    /// # Errors
    /// The authenticator is gone.
    pub fn code(&mut self) -> Result<String, Error> {
        self.codes.next()
    }

    /// `stepgate login NAME`.
    ///
    /// # Errors
    /// What the command said.
    pub fn login(&mut self, gate: &Gate) -> Result<String, Error> {
        gate.run(["login", &self.name], &format!("{}\n", self.password))?.ok()
    }

    /// `stepgate verify REQUEST` with a fresh code.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn verify(&mut self, gate: &Gate, request: &str) -> Result<Outcome, Error> {
        let code = self.code()?;
        gate.run(["verify", request, "--as", &self.name], &format!("{code}\n"))
    }

    /// `stepgate request approve|deny REQUEST --reason …` with a fresh code.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn answer(&mut self, gate: &Gate, verb: &str, request: &str, reason: &str) -> Result<Outcome, Error> {
        let code = self.code()?;
        let arguments = ["request", verb, request, "--reason", reason, "--as", &self.name];
        gate.run(arguments, &format!("{code}\n"))
    }
}

/// Drives `enroll totp -o json` as its documentation says: read the URI, type one code.
fn enroll_totp(
    gate: &Gate,
    name: &str,
    enrol: impl FnOnce(&str) -> Result<Codes, Error>,
) -> Result<Codes, Error> {
    let mut child = gate
        .command()
        .args(["enroll", "totp", "--as", name, "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::doing("stepgate enroll totp"))?;
    let mut output = BufReader::new(child.stdout.take().ok_or_else(|| Error::new("no output"))?);
    let mut line = String::new();
    output.read_line(&mut line).map_err(Error::doing("stepgate enroll totp"))?;
    let codes = serde_json::from_str::<serde_json::Value>(&line)
        .ok()
        .and_then(|json| Some(json.get("otpauth_uri")?.as_str()?.to_owned()))
        .ok_or_else(|| Error::new("stepgate enroll totp gave no otpauth_uri"))
        .and_then(|uri| enrol(&uri))
        .and_then(|mut codes| Ok((codes.next()?, codes)));
    let mut input = child.stdin.take().ok_or_else(|| Error::new("no input"))?;
    if let Ok((code, _)) = &codes {
        writeln!(input, "{code}").map_err(Error::doing("stepgate enroll totp"))?;
    }
    drop(input);
    // What it prints after the code, so that it never writes to a closed pipe.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut output, &mut rest).map_err(Error::doing("stepgate enroll totp"))?;
    let outcome: Outcome = child.wait_with_output().map_err(Error::doing("stepgate enroll totp"))?.into();
    outcome.ok()?;
    codes.map(|(_, codes)| codes)
}

impl Codes {
    fn next(&mut self) -> Result<String, Error> {
        match self {
            Self::Here(authenticator) => authenticator.next_code_ahead(),
            Self::Phone(phone) => phone.next(),
        }
    }
}

impl Phone {
    fn start(gate: &Gate, uri: &str) -> Result<Self, Error> {
        let mut process = gate
            .command()
            .arg("demo-authenticator")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::doing("starting an authenticator"))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(Error::new("the authenticator has no pipes"));
        };
        writeln!(input, "{uri}").map_err(Error::doing("enrolling an authenticator"))?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn next(&mut self) -> Result<String, Error> {
        let mut code = String::new();
        writeln!(self.input)
            .and_then(|()| self.input.flush())
            .and_then(|()| self.output.read_line(&mut code))
            .map_err(Error::doing("asking the authenticator"))?;
        Ok(code.trim().to_owned())
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

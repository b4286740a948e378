//! The way to the data directory: through the running gate, or by opening it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use stepgate_types::Actor;

use super::execute::{Operations, execute};
use super::{Operator, Reply};
use crate::config::Config;
use crate::deliver::Delivery;
use crate::failure::Failure;
use crate::store::Store;

/// Answers that wait to be printed.
const QUEUE: usize = 64;

/// An open way. Several commands may go over it, one after the other.
pub(crate) enum Link {
    /// A gate serves this data directory.
    Gate(Box<Config>),
    /// None does; the directory is ours until this is dropped.
    Here(Box<Here>),
}

/// The data directory, opened by this process.
pub(crate) struct Here {
    operations: Operations,
    runtime: tokio::runtime::Runtime,
}

impl Link {
    /// Finds the running gate, or opens the data directory.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let Some(store) = Store::open_once_free(config, || is_served(config))? else {
            return Ok(Self::Gate(Box::new(config.clone())));
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        let delivery = Delivery::new(&config.audit, &config.data, &store.log, &store.clock)
            .notifying(&config.notify, &config.console.url);
        let operations = Operations { store, sessions: None, delivery: Arc::new(delivery) };
        Ok(Self::Here(Box::new(Here { operations, runtime })))
    }

    /// The running gate, for what has no end: the directory would be kept from it.
    pub(crate) fn to_gate(config: &Config) -> Result<Self, Failure> {
        let no_gate = || {
            Failure::unreachable(
                "no gate serves this data directory, and following would keep one from starting",
            )
            .hint("start it (stepgate serve) and try again, or see what is there without --follow")
        };
        if is_served(config)? { Ok(Self::Gate(Box::new(config.clone()))) } else { Err(no_gate()) }
    }

    /// Sends one command; rows and text go to `each`. What there is to say at the end is returned.
    pub(crate) fn send(
        &self,
        command: Operator,
        each: &mut dyn FnMut(Reply) -> Result<(), Failure>,
    ) -> Result<Option<String>, Failure> {
        match self {
            Self::Gate(config) => over_socket(config, &command, each),
            Self::Here(here) => here.send(command, each),
        }
    }

    /// Sends one command and gathers its rows.
    pub(crate) fn rows(&self, command: Operator) -> Result<Vec<serde_json::Value>, Failure> {
        let mut rows = Vec::new();
        self.send(command, &mut |reply| {
            if let Reply::Row(row) = reply {
                rows.push(row);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Sends one command that has no rows.
    pub(crate) fn tell(&self, command: Operator) -> Result<Option<String>, Failure> {
        self.send(command, &mut |_| Ok(()))
    }
}

impl Here {
    fn send(
        &self,
        command: Operator,
        each: &mut dyn FnMut(Reply) -> Result<(), Failure>,
    ) -> Result<Option<String>, Failure> {
        let by = Actor::Operator(Some(rustix::process::getuid().as_raw()));
        self.runtime.block_on(async {
            let (sender, replies) = tokio::sync::mpsc::channel(QUEUE);
            let work = async {
                let result = execute(&self.operations, &by, command, &sender).await;
                drop(sender);
                result
            };
            let print = async {
                // Gone where no more is wanted, so that the work ends too.
                let mut replies = replies;
                while let Some(reply) = replies.recv().await {
                    each(reply)?;
                }
                Ok(())
            };
            let (result, printed) = tokio::join!(work, print);
            printed.and(result)
        })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Err(failure) = self.operations.store.close() {
            eprintln!("stepgate: {failure}");
        }
    }
}

/// Whether a gate answers at the socket.
pub(crate) fn is_served(config: &Config) -> Result<bool, Failure> {
    let path = config.admin_socket();
    match UnixStream::connect(&path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(false),
        Err(error) => Err(Failure::file("reach the gate at", &path, &error)
            .hint("operator commands are for the user that runs the gate, and for root")),
    }
}

fn over_socket(
    config: &Config,
    command: &Operator,
    each: &mut dyn FnMut(Reply) -> Result<(), Failure>,
) -> Result<Option<String>, Failure> {
    let lost = |error: &dyn std::fmt::Display| Failure::unreachable(format!("the gate went away: {error}"));
    let mut stream = UnixStream::connect(config.admin_socket()).map_err(|error| lost(&error))?;
    let mut line = zeroize::Zeroizing::new(serde_json::to_vec(command).map_err(|error| lost(&error))?);
    line.push(b'\n');
    if line.len() > super::socket::MAX_COMMAND {
        return Err(Failure::usage("the command is too long"));
    }
    let written = stream.write_all(&line);
    for line in BufReader::new(stream).lines() {
        // Who has no room for the command says so without reading it.
        let line = line.map_err(|error| lost(written.as_ref().err().unwrap_or(&error)))?;
        match serde_json::from_str(&line).map_err(|error| lost(&error))? {
            Reply::Done(said) => return Ok(said),
            Reply::Failed(failure) => return Err(failure),
            reply => each(reply)?,
        }
    }
    Err(lost(&"it closed the connection"))
}

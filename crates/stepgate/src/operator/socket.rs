//! The operator's socket of a running gate: `admin.sock` in the data directory, mode 0600.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stepgate_types::Actor;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::execute::{Operations, execute};
use super::{Operator, Reply};
use crate::failure::Failure;

/// The longest command, in bytes: a manifest of many policies.
pub(super) const MAX_COMMAND: usize = 256 * 1024;

/// How long a command may take to arrive.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long writing one line of an answer may take: the reader is a local process, or has hung.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections at a time.
const MAX_CONNECTIONS: usize = 32;

/// Lines of an answer that wait to be written.
const QUEUE: usize = 64;

/// A bound socket; its file is removed when dropped.
pub(crate) struct AdminSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds it. Only after the data directory was opened: then a file that is there is a dead gate's.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        let trouble = |error: &std::io::Error| {
            Failure::file("bind the operator's socket", path, error)
                .hint("a socket's path has at most 107 bytes; give `data:` a shorter one if it is longer")
        };
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_socket() => {
                fs::remove_file(path).map_err(|error| trouble(&error))?
            }
            Ok(_) => return Err(Failure::usage(format!("{} is not a socket; remove it", path.display()))),
            Err(_) => {}
        }
        // The directory has mode 0700, so that nobody gets in between bind and chmod either.
        let listener = std::os::unix::net::UnixListener::bind(path).map_err(|error| trouble(&error))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true))
            .map_err(|error| trouble(&error))?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves the socket until `shutdown`.
pub(crate) async fn serve(
    socket: AdminSocket,
    operations: Arc<Operations>,
    mut shutdown: watch::Receiver<bool>,
) {
    let listener = match socket.listener.try_clone().and_then(UnixListener::from_std) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the operator's socket cannot be served"),
    };
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut running = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|down| *down) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        while running.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            refuse(&stream);
            continue;
        };
        let operations = Arc::clone(&operations);
        running.spawn(async move {
            let _slot = slot;
            if let Err(error) = connection(stream, &operations).await {
                tracing::debug!(%error, "a connection of the operator's socket ended early");
            }
        });
    }
    running.shutdown().await;
}

/// Says that there is no room, without waiting for anybody: a line goes into the socket's empty buffer.
fn refuse(stream: &UnixStream) {
    let failure = Failure::unreachable("too many commands at once")
        .hint(format!("the gate does {MAX_CONNECTIONS} at a time; try again, and see who follows the log"));
    if let Ok(mut line) = serde_json::to_vec(&Reply::Failed(failure)) {
        line.push(b'\n');
        let _ = stream.try_write(&line);
    }
}

async fn connection(stream: UnixStream, operations: &Operations) -> std::io::Result<()> {
    // The file's mode keeps others out; this also keeps out who got hold of an open file descriptor.
    let own = rustix::process::geteuid().as_raw();
    let uid = stream.peer_cred()?.uid();
    if ![own, 0].contains(&uid) {
        return Ok(());
    }
    let by = Actor::Operator(Some(uid));
    let (reader, writer) = stream.into_split();
    let limit = u64::try_from(MAX_COMMAND).unwrap_or(u64::MAX);
    let mut line = zeroize::Zeroizing::new(Vec::new());
    let mut reader = BufReader::new(reader.take(limit));
    let read = tokio::time::timeout(COMMAND_TIMEOUT, reader.read_until(b'\n', &mut line)).await;
    let reader = reader.into_inner().into_inner();
    let command = match read {
        Ok(Ok(_)) => serde_json::from_slice::<Operator>(&line)
            .map_err(|_| Failure::usage("the gate does not know this command; is it of another version?")),
        Ok(Err(error)) => return Err(error),
        Err(_) => Err(Failure::usage("no command came")),
    };
    let (sender, replies) = mpsc::channel(QUEUE);
    let work = async move {
        let last = match command {
            Err(failure) => Reply::Failed(failure),
            Ok(command) => match execute(operations, &by, command, &sender).await {
                Ok(said) => Reply::Done(said),
                Err(failure) => Reply::Failed(failure),
            },
        };
        let _ = sender.send(last).await;
    };
    let ((), written) = tokio::join!(work, write(reader, writer, replies));
    written
}

/// Writes answers until there are no more, or until the other side has gone: then the queue closes, and
/// what makes the answers stops too.
async fn write(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut replies: mpsc::Receiver<Reply>,
) -> std::io::Result<()> {
    let mut byte = [0_u8; 1];
    loop {
        let reply = tokio::select! {
            reply = replies.recv() => reply,
            _ = reader.read(&mut byte) => None,
        };
        let Some(reply) = reply else { return Ok(()) };
        let mut line = serde_json::to_vec(&reply).map_err(std::io::Error::other)?;
        line.push(b'\n');
        tokio::time::timeout(WRITE_TIMEOUT, writer.write_all(&line)).await??;
    }
}

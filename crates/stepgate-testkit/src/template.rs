//! A freshly made data directory, kept for the next test: `initdb` takes seconds, a copy does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::user::RunAs;
use crate::{Binaries, Error};

/// Makes `data` (its parent belongs to `user`), from the template when `cached` and one can be kept.
pub(crate) fn make(binaries: &Binaries, user: RunAs, data: &Path, cached: bool) -> Result<(), Error> {
    let Some(template) = cached.then(|| place(binaries)).flatten() else {
        return initdb(binaries, user, data);
    };
    if !template.is_dir() {
        initdb(binaries, user, data)?;
        return keep(data, &template);
    }
    copy(&template, data)?;
    if let RunAs::User { uid, gid } = user {
        run(Command::new("chown").arg("-R").arg(format!("{uid}:{gid}")).arg(data))?;
    }
    Ok(())
}

/// `target/stepgate-initdb-VERSION`, beside what cargo built us into; none outside a target directory.
fn place(binaries: &Binaries) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    let deps = executable.parent().filter(|directory| directory.ends_with("deps"))?;
    Some(deps.parent()?.parent()?.join(format!("stepgate-initdb-{}", binaries.version())))
}

fn initdb(binaries: &Binaries, user: RunAs, data: &Path) -> Result<(), Error> {
    let mut command = Command::new(binaries.path("initdb"));
    command.args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync"]);
    // Most of what a fresh data directory holds is its first file of WAL, and it is copied for each test.
    command.arg("--wal-segsize=1");
    command.arg("-D").arg(data).current_dir("/");
    user.apply(&mut command);
    run(&mut command)
}

/// Keeps a copy; several tests may do so at once, the first wins.
fn keep(data: &Path, template: &Path) -> Result<(), Error> {
    /// Tests of one process may run in threads.
    static TRY: AtomicU32 = AtomicU32::new(0);
    let number = TRY.fetch_add(1, Ordering::Relaxed);
    let fresh = template.with_extension(format!("new-{}-{number}", std::process::id()));
    copy(data, &fresh)?;
    if std::fs::rename(&fresh, template).is_err() {
        std::fs::remove_dir_all(&fresh).map_err(Error::doing("removing a spare template"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    run(Command::new("cp").arg("-a").arg(from).arg(to))
}

pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::doing(format_args!("{}", command.get_program().display())))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} failed: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

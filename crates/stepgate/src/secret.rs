//! Secrets: how they are asked for, and files that only their owner may read.

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest line taken as a secret, in bytes; PostgreSQL's own limit for a password is of this order.
const MAX_SECRET: usize = 1024;

/// Where a secret is read from.
pub(crate) enum Source<'a> {
    /// Asked for at a terminal, else one line of standard input.
    Ask {
        /// What is asked, such as `Password for dana: `.
        prompt: &'a str,
        /// Asked a second time at a terminal, since it is a new one.
        twice: bool,
    },
    /// First line of a file; `-` is standard input.
    File(&'a Path),
}

/// Reads a secret; never from the arguments of a command, which every user of the machine can list.
pub(crate) fn read(source: &Source<'_>) -> Result<Zeroizing<String>, Failure> {
    read_if_any(source)?.ok_or_else(|| Failure::usage("nothing was entered"))
}

/// The same, where an empty line is an answer too.
pub(crate) fn read_if_any(source: &Source<'_>) -> Result<Option<Zeroizing<String>>, Failure> {
    let secret = match source {
        Source::Ask { prompt, twice } if std::io::stdin().is_terminal() => ask(prompt, *twice)?,
        Source::Ask { .. } => line_of_stdin()?,
        Source::File(path) if *path == Path::new("-") => line_of_stdin()?,
        Source::File(path) => first_line(path)?,
    };
    Ok(Some(secret).filter(|secret| !secret.is_empty()))
}

fn ask(prompt: &str, twice: bool) -> Result<Zeroizing<String>, Failure> {
    let once = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| Failure::usage(format!("cannot read from the terminal: {error}")))
    };
    let secret = once(prompt)?;
    if twice && *once("Again: ")? != *secret {
        return Err(Failure::no("the two do not match; nothing was changed"));
    }
    Ok(secret)
}

/// One line of standard input, read byte by byte: what follows belongs to the next reader.
pub(crate) fn line_of_stdin() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut stdin = rustix_stdin()?;
    let mut byte = [0_u8; 1];
    loop {
        match stdin.read(&mut byte) {
            Ok(0) if bytes.is_empty() => {
                return Err(Failure::usage("standard input ended before a line was read"));
            }
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if bytes.len() >= MAX_SECRET => {
                return Err(Failure::usage(format!("the line is longer than {MAX_SECRET} bytes")));
            }
            Ok(_) => bytes.extend_from_slice(&byte),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::usage(format!("cannot read standard input: {error}"))),
        }
    }
    text(&bytes)
}

/// Standard input without Rust's buffer, which would swallow the lines that follow.
fn rustix_stdin() -> Result<fs::File, Failure> {
    use std::os::fd::AsFd;
    std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(fs::File::from)
        .map_err(|error| Failure::usage(format!("cannot read standard input: {error}")))
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Failure::usage("the line is not UTF-8"))
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    let limit = u64::try_from(MAX_SECRET + 2).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::file("read", path, &error))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() > MAX_SECRET {
        return Err(Failure::usage(format!(
            "the first line of {} is longer than {MAX_SECRET} bytes",
            path.display()
        )));
    }
    text(line)
}

/// Reads the first line of a file that nobody but its owner may read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, Failure> {
    check_private(path)?;
    let line = first_line(path)?;
    if line.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(line)
}

/// Whether only its owner may read or write a file, and its owner is this process or root.
pub(crate) fn check_private(path: &Path) -> Result<(), Failure> {
    let meta = fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::usage(format!(
            "{} can be read by others (mode {mode:04o}); a secret must have mode 0600",
            path.display()
        ))
        .hint(format!("run: chmod 600 {}", path.display())));
    }
    let own = rustix::process::geteuid();
    if meta.uid() != own.as_raw() && meta.uid() != 0 {
        return Err(Failure::usage(format!(
            "{} belongs to user {}, not to the user that runs stepgate ({})",
            path.display(),
            meta.uid(),
            own.as_raw()
        ))
        .hint(format!("run: chown {} {}", own.as_raw(), path.display())));
    }
    Ok(())
}

/// Writes a new file of mode 0600; an existing one is an error.
pub(crate) fn write_new_private(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::file("write", path, &error))
}

/// Makes a directory of mode 0700, if it is not there.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::file("make the directory", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_line_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop");
        write_new_private(&path, b"geheim\nrest").unwrap();
        assert_eq!(read_private(&path).unwrap().as_str(), "geheim");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = read_private(&path).unwrap_err();
        assert!(failure.message.contains("0640"), "{failure}");
        assert!(failure.hint.unwrap().starts_with("run: chmod 600 /"));
    }

    #[test]
    fn an_existing_secret_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_new_private(&path, b"one").unwrap();
        assert!(write_new_private(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}

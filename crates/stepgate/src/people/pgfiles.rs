//! libpq's own files: `.pgpass` (PostgreSQL documentation, chapter 32.16) and `.pg_service.conf` (32.17). What is not ours in
//! them stays byte for byte.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The largest file that is changed, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What a line of ours in `.pgpass` is for: any database of this address, for this name.
pub(super) struct Line<'l> {
    pub(super) host: &'l str,
    pub(super) port: &'l str,
    pub(super) user: &'l str,
}

impl Line<'_> {
    fn fields(&self) -> [&str; 4] {
        [self.host, self.port, "*", self.user]
    }

    fn is(&self, line: &[u8]) -> bool {
        let ours = self.fields().map(str::as_bytes);
        fields(line).is_some_and(|given| given.iter().map(Vec::as_slice).eq(ours))
    }
}

/// The first four fields of a line, as libpq reads them; `None`: it has fewer, or is a comment.
fn fields(line: &[u8]) -> Option<[Vec<u8>; 4]> {
    if line.first() == Some(&b'#') {
        return None;
    }
    let mut found = [const { Vec::new() }; 4];
    let mut bytes = line.iter().copied();
    for field in &mut found {
        loop {
            match bytes.next()? {
                b':' => break,
                b'\\' => field.push(bytes.next()?),
                other => field.push(other),
            }
        }
    }
    Some(found)
}

/// `:` and `\` are escaped by `\`.
fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

/// With this password for it, in the place where it is found first: libpq takes the first line that fits, and one of
/// somebody's own with `*` in it may stand anywhere.
pub(super) fn with_password(old: &[u8], line: &Line<'_>, password: &str) -> Vec<u8> {
    let [host, port, database, user] = line.fields();
    // `*` alone stands for any; it is the only thing of ours that is not taken as it is.
    let fields = [escaped(host), escaped(port), database.to_owned(), escaped(user), escaped(password)];
    let own = Zeroizing::new(format!("{}\n", fields.join(":")));
    [own.as_bytes(), &without_password(old, line)].concat()
}

/// Without any for it.
pub(super) fn without_password(old: &[u8], line: &Line<'_>) -> Vec<u8> {
    let others = old.split_inclusive(|byte| *byte == b'\n').filter(|other| {
        let text = other.strip_suffix(b"\n").unwrap_or(other);
        !line.is(text.strip_suffix(b"\r").unwrap_or(text))
    });
    others.collect::<Vec<_>>().concat()
}

/// The service of a line `[name]`.
fn header(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    line.strip_prefix(b"[")?.strip_suffix(b"]")
}

/// With this service, in the place of one of that name.
pub(super) fn with_service(old: &[u8], name: &str, lines: &[String]) -> Vec<u8> {
    let mut new = without_service(old, name);
    if !new.is_empty() && !new.ends_with(b"\n") {
        new.push(b'\n');
    }
    new.extend(format!("[{name}]\n{}\n", lines.join("\n")).into_bytes());
    new
}

/// Without the service of that name.
pub(super) fn without_service(old: &[u8], name: &str) -> Vec<u8> {
    let mut ours = false;
    let others = old.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        if let Some(header) = header(line) {
            ours = header == name.as_bytes();
        }
        !ours
    });
    others.collect::<Vec<_>>().concat()
}

/// Changes a file: nobody else reads it, and nobody sees half of it. One that is a link is changed where it is.
pub(super) fn change(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), Failure> {
    let trouble = |error: &std::io::Error| Failure::file("change", path, error);
    let real = if path.is_symlink() {
        fs::canonicalize(path).map_err(|error| trouble(&error))?
    } else {
        path.to_owned()
    };
    let old = match fs::metadata(&real) {
        Ok(meta) if !meta.is_file() => {
            return Err(Failure::usage(format!("{} is not a file", path.display())));
        }
        Ok(meta) if meta.len() > MAX_FILE => {
            return Err(Failure::usage(format!("{} is larger than {MAX_FILE} bytes", path.display())));
        }
        Ok(_) => Zeroizing::new(fs::read(&real).map_err(|error| trouble(&error))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Zeroizing::default(),
        Err(error) => return Err(trouble(&error)),
    };
    let new = Zeroizing::new(change(&old));
    if *new == *old && real.exists() {
        return Ok(());
    }
    let dir = real.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut fresh = tempfile::NamedTempFile::new_in(dir).map_err(|error| trouble(&error))?;
    fresh.as_file().set_permissions(fs::Permissions::from_mode(0o600)).map_err(|error| trouble(&error))?;
    fresh.write_all(&new).map_err(|error| trouble(&error))?;
    fresh.as_file().sync_all().map_err(|error| trouble(&error))?;
    fresh.persist(&real).map(drop).map_err(|error| trouble(&error.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'static> = Line { host: "gate.example", port: "6432", user: "dana" };

    #[test]
    fn only_our_own_line_is_replaced_and_it_is_the_one_that_counts() {
        let others = b"# mine: a\\b\r\n*:*:*:dana:everywhere\ngate.example:6432:shop:dana:x\n\xff\xfe:not:text\nno newline";
        let once = with_password(others, &LINE, "sgp_1");
        assert_eq!(once, [b"gate.example:6432:*:dana:sgp_1\n".as_slice(), others].concat());
        let twice = with_password(&once, &LINE, "sgp_2");
        assert_eq!(twice, [b"gate.example:6432:*:dana:sgp_2\n".as_slice(), others].concat());
        assert_eq!(without_password(&twice, &LINE), others);
        assert_eq!(without_password(others, &LINE), others);
        // Moved by its owner, escaped otherwise, with Windows' line ends.
        let moved = b"a:1:*:b:c\ngate\\.example:6432:*:\\dana:old\r\n";
        assert_eq!(without_password(moved, &LINE), b"a:1:*:b:c\n");
    }

    #[test]
    fn what_has_a_meaning_in_the_file_is_escaped() {
        let line = Line { host: "fe80::1", port: "6432", user: "da\\na" };
        let file = with_password(b"", &line, "a:b\\c");
        assert_eq!(file, b"fe80\\:\\:1:6432:*:da\\\\na:a\\:b\\\\c\n");
        assert_eq!(without_password(&file, &line), b"");
        let star = Line { host: "*", ..LINE };
        assert!(star.is(b"*:6432:*:dana:x") && !LINE.is(b"*:6432:*:dana:x"));
    }

    #[test]
    fn only_our_own_service_is_replaced() {
        let others = b"# top\n[other]\nhost=a\n\n[stepgate-shop2]\nhost=b\n";
        let lines = ["host=gate.example".to_owned(), "port=6432".to_owned()];
        let once = with_service(others, "stepgate-shop", &lines);
        let expected = [others.as_slice(), b"[stepgate-shop]\nhost=gate.example\nport=6432\n"].concat();
        assert_eq!(once, expected);
        assert_eq!(with_service(&once, "stepgate-shop", &lines), expected);
        assert_eq!(without_service(&once, "stepgate-shop"), others);
        let between = b"[stepgate-shop]\nhost=x\n[other]\nhost=a";
        assert_eq!(without_service(between, "stepgate-shop"), b"[other]\nhost=a");
    }

    #[test]
    fn the_file_is_nobody_elses_and_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&file, "old\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        change(&link, |old| [old, b"new\n"].concat()).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"old\nnew\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(change(dir.path(), <[u8]>::to_vec).is_err());
    }
}

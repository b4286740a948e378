//! Who holds a data directory, as the lock file says: for the message to whoever must wait.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

/// The most bytes of a lock file that are read.
const MAX_BYTES: u64 = 100;

/// The most letters of a word of a command.
const MAX_WORD: usize = 20;

/// Says in the file who holds it. On a full disk it says nothing, and is held all the same.
pub(crate) fn write(mut file: &File) {
    let told = file
        .set_len(0)
        .and_then(|()| file.write_all(format!("{} {}\n", std::process::id(), command()).as_bytes()));
    if let Err(error) = told {
        tracing::debug!(%error, "the lock file does not say who holds it");
    }
}

/// The command of this process, without its arguments: they may name somebody.
fn command() -> String {
    let mut words =
        std::env::args_os().skip(1).map_while(|word| word.into_string().ok().filter(|word| is_word(word)));
    let mut command = "stepgate".to_owned();
    if let Some(first) = words.next() {
        let group = ["audit", "user", "request", "grant", "session"].contains(&first.as_str());
        for word in [Some(first), words.next().filter(|_| group)].into_iter().flatten() {
            command.push(' ');
            command.push_str(&word);
        }
    }
    command
}

fn is_word(word: &str) -> bool {
    let letters = |letter: u8| letter.is_ascii_lowercase() || letter == b'-';
    word.len() <= MAX_WORD
        && word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.bytes().all(letters)
}

/// Who it says holds it, if that process is still there: a lock for reading does not say so, and a copied file lies.
pub(crate) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let (pid, command) = text.strip_suffix('\n')?.split_once(' ')?;
    let pid: u32 = pid.parse().ok()?;
    if !command.split(' ').all(is_word) || !fs::exists(format!("/proc/{pid}")).ok()? {
        return None;
    }
    Some(format!("`{command}` (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_a_process_that_is_there_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.as_file());
        let named = read(file.path()).unwrap();
        assert!(
            named.starts_with("`stepgate") && named.ends_with(&format!("(process {})", std::process::id()))
        );
        let own = std::process::id();
        for wrong in
            ["", "stepgate", "4294967290 stepgate serve\n", &format!("{own} \u{1b}[2J\n"), &own.to_string()]
        {
            fs::write(file.path(), wrong).unwrap();
            assert_eq!(read(file.path()), None, "{wrong:?}");
        }
    }
}

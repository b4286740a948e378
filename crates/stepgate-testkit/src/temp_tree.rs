//! A temporary directory that is removed also when we are killed.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;

/// Removes $1 once our end of its standard input is closed. Processes that still write there are being
/// ended at the same moment, hence the second tries.
const JANITOR: &str = r#"
cat >/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" && exit
  sleep 0.2
done
"#;

/// A directory of mode 0700 that is gone when this is dropped or when our process ends, however it ends.
#[derive(Debug)]
pub struct TempTree {
    path: PathBuf,
    janitor: Child,
}

impl TempTree {
    /// Makes `PREFIX-XXXXXX` in the directory for temporary files.
    ///
    /// # Errors
    /// It cannot be made, or there is no `sh`.
    pub fn new(prefix: &str) -> Result<Self, Error> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("{prefix}-"))
            .tempdir()
            .map_err(Error::doing("making a temporary directory"))?;
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "sh"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .map_err(Error::doing("starting sh"))?;
        Ok(Self { path: directory.keep(), janitor })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempTree {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_tree_is_gone_with_its_handle() {
        let tree = TempTree::new("stepgate-test").unwrap();
        let path = tree.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(tree);
        assert!(!path.exists());
    }
}

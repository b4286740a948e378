//! `stepgate audit …`: reading, proving and keeping the log.

mod filter;
mod list;
mod live;
mod operator;
mod search;
mod shown;
mod tail;
mod verify;

pub(crate) use operator::{AuditOperator, execute};

use std::io::Write;
use std::path::Path;

use stepgate_types::Clock as _;

use crate::args::AuditCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};
use crate::output;
use crate::system::SystemClock;

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail { lines, follow, filter, output } => {
            let filter = filter::filter(filter, SystemClock.now())?;
            list::tail(&Link::open(&Config::load(config)?)?, (*lines, *follow), filter, *output)
        }
        AuditCommand::Search { filter, limit, reverse, scan, output } => {
            let filter = filter::filter(filter, SystemClock.now())?;
            let search = AuditOperator::Search { filter, limit: *limit, reverse: *reverse, scan: *scan };
            list::search(&Link::open(&Config::load(config)?)?, search, *output)
        }
        AuditCommand::Verify { path, offline, checkpoint, witness: _ } => {
            verify::verify(config, path.as_deref(), *offline, checkpoint.as_deref())
        }
        AuditCommand::Export { out, .. } => {
            let command = Operator::Audit(AuditOperator::Export {});
            write_text(&Link::open(&Config::load(config)?)?, command, out.as_deref())
        }
        AuditCommand::Checkpoint => {
            let command = Operator::Audit(AuditOperator::Checkpoint {});
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Sink(command) => crate::deliver::run(config, command),
        _ => Err(Failure::usage("this is not built yet")),
    }
}

/// Writes text as it comes, to a file that appears once it is whole, or to standard output.
fn write_text(link: &Link, command: Operator, out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        let said = link.send(command, &mut |reply| match reply {
            Reply::Text(text) => output::print(&text),
            _ => Ok(()),
        })?;
        said.into_iter().for_each(|said| eprintln!("{said}"));
        return Ok(());
    };
    let trouble = |error: &std::io::Error| Failure::file("write", path, error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(|error| trouble(&error))?;
    let said = link.send(command, &mut |reply| match reply {
        Reply::Text(text) => file.write_all(text.as_bytes()).map_err(|error| trouble(&error)),
        _ => Ok(()),
    })?;
    file.as_file().sync_all().map_err(|error| trouble(&error))?;
    file.persist(path).map_err(|error| trouble(&error.error))?;
    output::print_line(&format!(
        "wrote {}{}",
        path.display(),
        said.map_or(String::new(), |said| format!(": {said}"))
    ))
}

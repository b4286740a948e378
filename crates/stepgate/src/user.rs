//! `stepgate user add|ls|rm|passwd|groups|cert`.

use std::path::Path;

use stepgate_store::RECOMMENDED_PASSWORD;
use stepgate_types::Clock;

use crate::args::UserCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator};
use crate::output::{self, Listing};
use crate::people;
use crate::secret::{self, Source};
use crate::system::SystemClock;

/// What a table of people shows.
const COLUMNS: &[&str] = &["name", "groups", "service", "certificates", "factors", "lends", "added"];

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &UserCommand) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let command = match command {
        UserCommand::Ls(args) => {
            let rows = Link::open(&config)?.rows(Operator::UserList {})?;
            return Listing::of(COLUMNS, rows).print(args.output);
        }
        UserCommand::Add { name, groups, service, password_file } => Operator::UserAdd {
            name: name.clone(),
            groups: groups.clone(),
            service: *service,
            password: password(name.as_str(), password_file.as_deref())?,
        },
        UserCommand::Rm { name } => Operator::UserRemove { name: name.clone() },
        UserCommand::Passwd { name, password_file } => Operator::UserPassword {
            name: name.clone(),
            password: password(name.as_str(), password_file.as_deref())?,
        },
        UserCommand::Groups { name, groups } => {
            Operator::UserGroups { name: name.clone(), groups: groups.clone() }
        }
        UserCommand::Delegate { name, to, from, until, groups, end } => {
            let now = SystemClock.now();
            let time = |text: &Option<String>| text.as_ref().map_or(Ok(now), |text| people::until(text, now));
            Operator::UserDelegate {
                name: name.clone(),
                to: to.clone(),
                groups: if *end { Vec::new() } else { groups.clone() },
                from_us: time(from)?.micros(),
                until_us: time(until)?.micros(),
            }
        }
        UserCommand::Cert { name, certificates } => {
            Operator::UserCertificates { name: name.clone(), certificates: certificates.clone() }
        }
    };
    let said = Link::open(&config)?.tell(command)?;
    said.map_or(Ok(()), |said| output::print_line(&said))
}

fn password(name: &str, file: Option<&Path>) -> Result<zeroize::Zeroizing<String>, Failure> {
    let prompt = format!("New password for {name}: ");
    let password = secret::read(&file.map_or(Source::Ask { prompt: &prompt, twice: true }, Source::File))?;
    if password.chars().count() < RECOMMENDED_PASSWORD {
        eprintln!(
            "stepgate: the password has fewer than {RECOMMENDED_PASSWORD} characters; better: stepgate user passwd {name}"
        );
    }
    Ok(password)
}

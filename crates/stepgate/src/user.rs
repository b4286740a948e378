//! `stepgate user add|ls|rm|passwd|groups|cert|link|unlink|enroll-code|factor`.

use std::path::Path;

use stepgate_store::{Account, RECOMMENDED_PASSWORD, Source as Place};
use stepgate_types::{Clock, PersonName};

use crate::args::{AccountSource, AsArgs, EnrollFormat, FactorCommand, UserCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator};
use crate::output::{self, Listing};
use crate::people::{self, Api};
use crate::secret::{self, Source};
use crate::system::SystemClock;

/// What a table of people shows.
const COLUMNS: &[&str] =
    &["name", "groups", "service", "certificates", "accounts", "factors", "lends", "added"];

/// What a table of authenticators shows.
const FACTORS: &[&str] = &["id", "name", "strength", "enrolled", "counts_from", "suspended"];

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &UserCommand) -> Result<(), Failure> {
    if let UserCommand::Factor(FactorCommand::Confirm { name, who }) = command {
        return confirm(name, who);
    }
    let config = Config::load(config)?;
    let command = match command {
        UserCommand::Ls(args) => {
            let rows = Link::open(&config)?.rows(Operator::UserList {})?;
            return Listing::of(COLUMNS, rows).print(args.output);
        }
        UserCommand::Add { name, groups, oidc, ldap, .. } if oidc.is_some() || ldap.is_some() => {
            let account = account(&config, oidc.as_deref(), ldap.as_deref())?;
            Operator::UserAddLinked { name: name.clone(), groups: groups.clone(), account }
        }
        UserCommand::Link { name, account: given } => {
            let account = account(&config, given.oidc.as_deref(), given.ldap.as_deref())?;
            Operator::UserLink { name: name.clone(), account }
        }
        UserCommand::Unlink { name, source } => {
            let source = match source {
                AccountSource::Oidc => Place::Oidc,
                AccountSource::Ldap => Place::Ldap,
            };
            Operator::UserUnlink { name: name.clone(), source }
        }
        UserCommand::Add { name, groups, service, password_file, .. } => Operator::UserAdd {
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
        UserCommand::EnrollCode { name, output } => {
            let rows = Link::open(&config)?.rows(Operator::EnrollCode { person: name.clone() })?;
            let code = rows.first().and_then(|row| row.get("code")).and_then(serde_json::Value::as_str);
            let code = code.ok_or_else(|| Failure::unreachable("the gate gave no code"))?;
            return match output {
                EnrollFormat::Json => output::print_line(&serde_json::json!({"code": code}).to_string()),
                EnrollFormat::Text => output::print_line(code),
            };
        }
        UserCommand::Factor(FactorCommand::Ls { name, output }) => {
            let rows = Link::open(&config)?.rows(Operator::FactorList { person: name.clone() })?;
            return Listing::of(FACTORS, rows).print(*output);
        }
        UserCommand::Factor(command) => factor(command),
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

/// An account, at the places that the configuration names.
fn account(config: &Config, oidc: Option<&str>, ldap: Option<&str>) -> Result<Account, Failure> {
    let none = |what: &str| Failure::usage(format!("the configuration has no `{what}:`"));
    match (oidc, ldap) {
        (Some(subject), _) => {
            let provider = config.oidc.as_ref().ok_or_else(|| none("oidc"))?;
            Ok(Account { source: Place::Oidc, issuer: provider.issuer.clone(), subject: subject.to_owned() })
        }
        (None, Some(subject)) => {
            config.ldap.as_ref().ok_or_else(|| none("ldap"))?;
            Ok(Account { source: Place::Ldap, issuer: String::new(), subject: subject.to_owned() })
        }
        (None, None) => Err(Failure::usage("which account?")),
    }
}

fn factor(command: &FactorCommand) -> Operator {
    match command {
        FactorCommand::Ls { name, .. } | FactorCommand::Confirm { name, .. } => {
            Operator::FactorList { person: name.clone() }
        }
        FactorCommand::Rm { name, id } => Operator::FactorRemove { person: name.clone(), id: id.clone() },
        FactorCommand::Unlock { name, id } => Operator::FactorUnlock { person: name.clone(), id: id.clone() },
        FactorCommand::Reset { name } => Operator::FactorReset { person: name.clone() },
    }
}

/// `user factor confirm`: by a person, over the API.
fn confirm(name: &PersonName, who: &AsArgs) -> Result<(), Failure> {
    let api = Api::of(who)?;
    let code = secret::read(&Source::Ask { prompt: "Code of your own: ", twice: false })?;
    api.post(&format!("/api/v1/people/{name}/reset"), &serde_json::json!({"proof": {"code": *code}}))?;
    output::print_line(&format!(
        "the factors of {name} are removed, their grants and requests have ended; the operator lets them enrol \
         again: stepgate user enroll-code {name}"
    ))
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

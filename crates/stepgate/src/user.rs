//! `stepgate user add|ls|rm|passwd|groups|cert|link|unlink|enroll-code|factor`.

use std::path::Path;

use stepgate_store::{Account, RECOMMENDED_PASSWORD, Source as Place};
use stepgate_types::{Clock, GroupName, PersonName};

use crate::args::{AccountSource, AsArgs, FactorCommand, LineFormat, UserCommand};
use crate::config::Config;
use crate::done::Done;
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
    if let UserCommand::Factor(FactorCommand::Confirm { name, who, say }) = command {
        return confirm(name, who, say.output);
    }
    let config = Config::load(config)?;
    let (command, done, format) = match command {
        UserCommand::Ls(args) => {
            let rows = Link::open(&config)?.rows(Operator::UserList {})?;
            return Listing::of(COLUMNS, rows).print(args.output);
        }
        UserCommand::EnrollCode { name, output } => return enroll_code(&config, name, *output),
        UserCommand::Factor(FactorCommand::Ls { name, output }) => {
            let rows = Link::open(&config)?.rows(Operator::FactorList { person: name.clone() })?;
            return Listing::of(FACTORS, rows).print(*output);
        }
        UserCommand::Add { name, groups, service, password_file, oidc, ldap, say } => {
            let (name, groups) = (name.clone(), groups.clone());
            let done = did("user add", &name).with("groups", names(&groups)).with("service", *service);
            let command = if oidc.is_some() || ldap.is_some() {
                let account = account(&config, oidc.as_deref(), ldap.as_deref())?;
                Operator::UserAddLinked { name, groups, account }
            } else {
                let password = password(name.as_str(), password_file.as_deref())?;
                Operator::UserAdd { name, groups, service: *service, password }
            };
            (command, done, say.output)
        }
        UserCommand::Link { name, account: given, say } => {
            let account = account(&config, given.oidc.as_deref(), given.ldap.as_deref())?;
            let done = did("user link", name).with("source", account.source.as_str());
            (Operator::UserLink { name: name.clone(), account }, done, say.output)
        }
        UserCommand::Unlink { name, source, say } => {
            let source = match source {
                AccountSource::Oidc => Place::Oidc,
                AccountSource::Ldap => Place::Ldap,
            };
            let done = did("user unlink", name).with("source", source.as_str());
            (Operator::UserUnlink { name: name.clone(), source }, done, say.output)
        }
        UserCommand::Rm { name, say } => {
            (Operator::UserRemove { name: name.clone() }, did("user rm", name), say.output)
        }
        UserCommand::Passwd { name, password_file, say } => {
            let password = password(name.as_str(), password_file.as_deref())?;
            let command = Operator::UserPassword { name: name.clone(), password };
            (command, did("user passwd", name), say.output)
        }
        UserCommand::Groups { name, groups, say } => {
            let done = did("user groups", name).with("groups", names(groups));
            (Operator::UserGroups { name: name.clone(), groups: groups.clone() }, done, say.output)
        }
        UserCommand::Factor(command) => factor(command),
        UserCommand::Delegate { name, to, from, until, groups, end, say } => {
            let now = SystemClock.now();
            let time = |text: &Option<String>| text.as_ref().map_or(Ok(now), |text| people::until(text, now));
            let groups = if *end { Vec::new() } else { groups.clone() };
            let (from, until) = (time(from)?, time(until)?);
            let done = did("user delegate", name).with("to", to.to_string()).with("groups", names(&groups));
            let done = if *end { done } else { done.with("until", until.to_string()) };
            let (name, to) = (name.clone(), to.clone());
            let (from_us, until_us) = (from.micros(), until.micros());
            (Operator::UserDelegate { name, to, groups, from_us, until_us }, done, say.output)
        }
        UserCommand::Cert { name, certificates, say } => {
            let done = did("user cert", name).with("certificates", certificates.clone());
            let certificates = certificates.clone();
            (Operator::UserCertificates { name: name.clone(), certificates }, done, say.output)
        }
    };
    let said = Link::open(&config)?.tell(command)?;
    done.say(&said.unwrap_or_default(), format)
}

/// What was done about somebody.
fn did(command: &str, name: &PersonName) -> Done {
    Done::new(command).with("name", name.to_string())
}

fn names(groups: &[GroupName]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

/// `user enroll-code`.
fn enroll_code(config: &Config, name: &PersonName, format: LineFormat) -> Result<(), Failure> {
    let rows = Link::open(config)?.rows(Operator::EnrollCode { person: name.clone() })?;
    let code = rows.first().and_then(|row| row.get("code")).and_then(serde_json::Value::as_str);
    let code = code.ok_or_else(|| Failure::unreachable("the gate gave no code"))?;
    match format {
        LineFormat::Json => output::print_line(&serde_json::json!({"code": code}).to_string()),
        LineFormat::Text => output::print_line(code),
    }
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

/// Of the commands on authenticators, those that the operator does something by.
fn factor(command: &FactorCommand) -> (Operator, Done, LineFormat) {
    match command {
        FactorCommand::Rm { name, id, say } => {
            let done = did("user factor rm", name).with("id", id.as_str());
            (Operator::FactorRemove { person: name.clone(), id: id.clone() }, done, say.output)
        }
        FactorCommand::Unlock { name, id, say } => {
            let done = did("user factor unlock", name).with("id", id.as_str());
            (Operator::FactorUnlock { person: name.clone(), id: id.clone() }, done, say.output)
        }
        FactorCommand::Reset { name, say } => {
            let done = did("user factor reset", name);
            (Operator::FactorReset { person: name.clone() }, done, say.output)
        }
        // These two are done before.
        FactorCommand::Ls { name, .. } | FactorCommand::Confirm { name, .. } => {
            let done = did("user factor ls", name);
            (Operator::FactorList { person: name.clone() }, done, LineFormat::Text)
        }
    }
}

/// `user factor confirm`: by a person, over the API.
fn confirm(name: &PersonName, who: &AsArgs, format: LineFormat) -> Result<(), Failure> {
    let api = Api::of(who)?;
    let code = secret::read(&Source::Ask { prompt: "Code of your own: ", twice: false })?;
    api.post(&format!("/api/v1/people/{name}/reset"), &serde_json::json!({"proof": {"code": *code}}))?;
    let text = format!(
        "the factors of {name} are removed, their grants and requests have ended; the operator lets them enrol \
         again: stepgate user enroll-code {name}"
    );
    did("user factor confirm", name).say(&text, format)
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

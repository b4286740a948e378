//! `stepgate enroll totp|passkey|recovery`: at the gate's own machine by the operator, elsewhere by the person, since a
//! stolen password must not be enough to enrol.

use std::path::Path;

use serde_json::{Value, json};
use stepgate_approval::Method;
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use crate::args::{AsArgs, EnrollCommand, LineFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator};
use crate::output;
use crate::people::{self, Api};
use crate::secret::{self, Source};

/// What lets somebody enrol who is not the operator.
const LEAVE: Source<'static> =
    Source::Ask { prompt: "Enrolment code, or a code of an authenticator you have: ", twice: false };

const PRESENT: Source<'static> =
    Source::Ask { prompt: "Code of the authenticator that is enrolled: ", twice: false };

const NEW: Source<'static> = Source::Ask { prompt: "Code that the app shows: ", twice: false };

/// Letters of an enrolment code without its dashes; codes of authenticators are shorter.
const ENROLMENT_CODE: usize = 24;

/// Which way the gate is.
enum Way {
    /// Its own machine.
    Operator(Link),
    /// By its API, as somebody who has logged in.
    Person(Box<Api>),
}

impl Way {
    fn open(config: &Path, person: &PersonName) -> Result<Self, Failure> {
        if config.exists() {
            return Ok(Self::Operator(Link::open(&Config::load(config)?)?));
        }
        Ok(Self::Person(Box::new(Api::of(&AsArgs { person: Some(person.clone()) })?)))
    }
}

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &EnrollCommand) -> Result<(), Failure> {
    match command {
        EnrollCommand::Totp { person, output, replace } => totp(config, person, *output, *replace),
        EnrollCommand::Email(args) => people::enrol_address(Method::Email, args),
        EnrollCommand::Sms(args) => people::enrol_address(Method::Sms, args),
        EnrollCommand::Passkey { person } => passkey(config, person),
        EnrollCommand::Device(args) => people::enroll_device(args),
        EnrollCommand::Recovery { person, output } => recovery(config, person, *output),
    }
}

/// Browsers alone make passkeys: where, and what it takes there.
fn passkey(config: &Path, person: &PersonName) -> Result<(), Failure> {
    let url = if config.exists() {
        Config::load(config)?.console.url
    } else {
        Api::of(&AsArgs { person: Some(person.clone()) })?.url()
    };
    output::print_line(&format!(
        "open {url}/enrol in a browser and log in as {person}; it takes another passkey, or the operator's code: stepgate \
         user enroll-code {person}"
    ))
}

/// Shows a fresh secret and has it confirmed by a code.
fn totp(config: &Path, person: &PersonName, output: LineFormat, replace: bool) -> Result<(), Failure> {
    let way = Way::open(config, person)?;
    let shown = match &way {
        Way::Operator(link) => {
            let code = if replace { Some(secret::read(&PRESENT)?) } else { None };
            first_row(link, Operator::EnrollBegin { person: person.clone(), code })?
        }
        Way::Person(api) => begin(api, "totp", replace)?,
    };
    let uri = shown.get("otpauth_uri").and_then(Value::as_str);
    let uri = Zeroizing::new(uri.ok_or_else(|| Failure::unreachable("the gate gave no secret"))?.to_owned());
    match output {
        LineFormat::Json => output::print_line(&json!({"otpauth_uri": *uri}).to_string())?,
        LineFormat::Text => output::print(&qr(person, &uri)?)?,
    }
    let code = secret::read(&NEW)?;
    match way {
        Way::Operator(link) => {
            let said = link.tell(Operator::EnrollConfirm { person: person.clone(), code })?;
            said.map_or(Ok(()), |said| output::print_line(&said))
        }
        Way::Person(api) => {
            api.post("/api/v1/factors/totp/confirm", &json!({"proof": {"code": *code}}))?;
            output::print_line(&format!(
                "enrolled an authenticator for {person}; its next code is the first to use"
            ))
        }
    }
}

/// Prints recovery codes.
fn recovery(config: &Path, person: &PersonName, output: LineFormat) -> Result<(), Failure> {
    let shown = match Way::open(config, person)? {
        Way::Operator(link) => {
            let rows = link.rows(Operator::FactorList { person: person.clone() })?;
            let code = if rows.is_empty() { None } else { Some(secret::read(&PRESENT)?) };
            first_row(&link, Operator::EnrollRecovery { person: person.clone(), code })?
        }
        Way::Person(api) => begin(&api, "recovery", false)?,
    };
    let codes: Vec<_> = shown
        .get("codes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match output {
        LineFormat::Json => output::print_line(&json!({"codes": codes}).to_string()),
        LineFormat::Text => {
            output::print(&format!(
                "Recovery codes of {person}, each good once. Print them and keep them where nobody else looks:\n\
                 they are shown now and never again, and those of an earlier list are good for nothing.\n\n"
            ))?;
            codes.iter().try_for_each(|code| output::print_line(code))
        }
    }
}

/// Begins at the API, by what the person has.
fn begin(api: &Api, method: &str, replace: bool) -> Result<Value, Failure> {
    let leave = secret::read(&LEAVE)?;
    let letters = leave.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).count();
    let mut body = if letters == ENROLMENT_CODE {
        json!({"enrolment_code": *leave})
    } else {
        json!({"proof": {"code": *leave}})
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("replace".to_owned(), json!(replace));
    }
    api.post(&format!("/api/v1/factors/{method}"), &body)
}

fn first_row(link: &Link, command: Operator) -> Result<Value, Failure> {
    let rows = link.rows(command)?;
    rows.into_iter().next().ok_or_else(|| Failure::unreachable("the gate gave no secret"))
}

fn qr(person: &PersonName, uri: &str) -> Result<String, Failure> {
    let code = fast_qr::QRBuilder::new(uri.as_bytes())
        .build()
        .map_err(|error| Failure::usage(format!("the QR code cannot be drawn: {error:?}")))?;
    Ok(format!(
        "Scan this with the authenticator app of {person}, or type the address below into it.\n\
         Whoever sees it can make codes: clear the screen afterwards.\n\n{}\n{uri}\n\n",
        code.to_str()
    ))
}

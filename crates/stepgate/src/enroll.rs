//! `stepgate enroll totp`: at the gate's own machine alone, since a stolen password must not be enough to
//! enrol.

use std::path::Path;

use serde_json::{Value, json};
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use crate::args::{EnrollCommand, EnrollFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator};
use crate::output;
use crate::secret::{self, Source};

/// Shows a fresh secret and has it confirmed by a code.
pub(crate) fn run(config: &Path, command: &EnrollCommand) -> Result<(), Failure> {
    let EnrollCommand::Totp { person, output, replace } = command;
    let link = Link::open(&Config::load(config)?)?;
    let uri = begin(&link, person, *replace)?;
    match output {
        EnrollFormat::Json => output::print_line(&json!({"otpauth_uri": *uri}).to_string())?,
        EnrollFormat::Text => output::print(&shown(person, &uri)?)?,
    }
    let code = secret::read(&Source::Ask { prompt: "Code that the app shows: ", twice: false })?;
    let said = link.tell(Operator::EnrollConfirm { person: person.clone(), code })?;
    said.map_or(Ok(()), |said| output::print_line(&said))
}

fn begin(link: &Link, person: &PersonName, replace: bool) -> Result<Zeroizing<String>, Failure> {
    let rows = link.rows(Operator::EnrollBegin { person: person.clone(), replace })?;
    let uri = rows.first().and_then(|row| row.get("otpauth_uri")).and_then(Value::as_str);
    uri.map(|uri| Zeroizing::new(uri.to_owned()))
        .ok_or_else(|| Failure::unreachable("the gate gave no secret"))
}

fn shown(person: &PersonName, uri: &str) -> Result<String, Failure> {
    let code = fast_qr::QRBuilder::new(uri.as_bytes())
        .build()
        .map_err(|error| Failure::usage(format!("the QR code cannot be drawn: {error:?}")))?;
    Ok(format!(
        "Scan this with the authenticator app of {person}, or type the address below into it.\n\
         Whoever sees it can make codes: clear the screen afterwards.\n\n{}\n{uri}\n\n",
        code.to_str()
    ))
}

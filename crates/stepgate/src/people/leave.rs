//! What lets a person enrol: a code of an authenticator that they have, an enrolment code of the operator's, or both where
//! the new one proves more.

use serde_json::{Value, json};
use stepgate_approval::Method;
use zeroize::Zeroizing;

use super::http::Api;
use crate::args::{AsArgs, EnrollAddress};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

const EITHER: Source<'static> =
    Source::Ask { prompt: "Enrolment code, or a code of an authenticator you have: ", twice: false };

const ENROLMENT: Source<'static> = Source::Ask { prompt: "Enrolment code of the operator: ", twice: false };

const OWN: Source<'static> = Source::Ask { prompt: "Code of an authenticator you have: ", twice: false };

const SENT: Source<'static> = Source::Ask { prompt: "Code that was sent: ", twice: false };

/// Letters of an enrolment code without its dashes; codes of authenticators are shorter.
const ENROLMENT_CODE: usize = 24;

/// Strengths of authenticators that a code proves at most, as the API names them.
const LESS_THAN_STRONG: [&str; 2] = ["weak", "standard"];

/// Asks for what it takes to enrol this method; `body` with that in it.
pub(super) fn with_leave(api: &Api, method: Method, mut body: Value) -> Result<Value, Failure> {
    let own = api.get("/api/v1/factors")?;
    let own = own.as_array().map(Vec::as_slice).unwrap_or_default();
    let typed = |row: &&Value| row.get("method").and_then(Value::as_str) == Some("totp");
    let strength = |row: &Value| row.get("strength").and_then(Value::as_str).unwrap_or_default().to_owned();
    let too_weak = method.strength() > Method::Totp.strength()
        && own.iter().filter(typed).all(|row| LESS_THAN_STRONG.contains(&strength(row).as_str()));
    let (mut enrolment, mut code) = (None, None);
    let first = secret::read(&EITHER)?;
    if is_enrolment_code(&first) {
        enrolment = Some(first);
        if !own.is_empty() {
            code = Some(secret::read(&OWN)?);
        }
    } else {
        code = Some(first);
        if too_weak {
            enrolment = Some(secret::read(&ENROLMENT)?);
        }
    }
    if let Some(body) = body.as_object_mut() {
        let text = |text: Zeroizing<String>| Value::String((*text).clone());
        enrolment.map(|given| body.insert("enrolment_code".to_owned(), text(given)));
        code.map(|code| body.insert("proof".to_owned(), json!({"code": *code})));
    }
    Ok(body)
}

fn is_enrolment_code(text: &str) -> bool {
    text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).count() == ENROLMENT_CODE
}

/// `stepgate enroll email|sms`.
pub(crate) fn enrol_address(method: Method, args: &EnrollAddress) -> Result<(), Failure> {
    let api = Api::of(&AsArgs { person: Some(args.person.clone()) })?;
    let body = with_leave(&api, method, json!({"about": {"address": args.address}}))?;
    let shown = api.post(&format!("/api/v1/factors/{method}"), &body)?;
    let to = shown.get("sent_to").and_then(Value::as_str).map(harmless).unwrap_or_default();
    output::print_line(&format!("a code was sent to {to}"))?;
    let code = secret::read(&SENT)?;
    api.post(&format!("/api/v1/factors/{method}/confirm"), &json!({"proof": {"code": *code}}))?;
    output::print_line(&format!("{} gets codes by {method} from now on", args.person))
}

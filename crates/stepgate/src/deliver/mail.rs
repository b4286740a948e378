//! Checkpoints by e-mail: readable, and attached as they are.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, SmtpTransport, Transport as _};

use super::checkpoints::Letter;
use super::tls;
use super::trouble::Trouble;
use crate::config::{Email, MailTls};
use crate::failure::Failure;
use crate::secret;

/// How long each step of the conversation may take.
const STEP: Duration = Duration::from_secs(10);

/// Sends it; returns once the mail server has taken it over.
pub(super) fn send(email: &Email, letter: &Letter) -> Result<(), Trouble> {
    hand_over(email, &message(email, letter)?)
}

/// Sends a few words; `id` tells one that comes twice.
pub(super) fn send_text(email: &Email, subject: &str, id: &str, text: &str) -> Result<(), Trouble> {
    let trouble = |error: &dyn std::fmt::Display| Trouble::new(format!("no message can be made: {error}"));
    let address = |text: &str| text.parse::<Address>().map_err(|error| trouble(&error));
    let (from, to) = (address(&email.from)?, address(&email.to)?);
    let id = format!("<stepgate.{id}@{}>", from.domain());
    let message = Message::builder().from(from.into()).to(to.into()).subject(subject).message_id(Some(id));
    hand_over(
        email,
        &message.singlepart(SinglePart::plain(text.to_owned())).map_err(|error| trouble(&error))?,
    )
}

/// Sends a code to `to`, or words on their account. What a server says may name whom it is for, so that only its number is told.
pub(super) fn send_code(
    email: &Email,
    to: &str,
    (subject, text): (Option<&str>, &str),
) -> Result<(), Trouble> {
    let trouble = |_| Trouble::new("the message cannot be made");
    let from = email.from.parse::<Address>().map_err(trouble)?;
    let to = to.parse::<Address>().map_err(trouble)?;
    let chance = getrandom::u64().map_err(|_| Trouble::new("no randomness"))?;
    let id = format!("<stepgate.code.{chance:016x}@{}>", from.domain());
    let message = Message::builder()
        .from(from.into())
        .to(to.into())
        .subject(subject.unwrap_or("Your Stepgate code"))
        .message_id(Some(id))
        .singlepart(SinglePart::plain(text.to_owned()))
        .map_err(|_| Trouble::new("the message cannot be made"))?;
    let transport = transport(email).map_err(|failure| Trouble::new(failure.message))?;
    transport.send(&message).map(drop).map_err(|error| told(&error))
}

/// Finds out whether the mail server lets the gate in.
pub(super) fn probe(email: &Email) -> Result<(), Trouble> {
    let transport = transport(email).map_err(|failure| Trouble::new(failure.message))?;
    match transport.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::new("the mail server has hung up")),
        Err(error) => Err(told(&error)),
    }
}

fn told(error: &lettre::transport::smtp::Error) -> Trouble {
    Trouble::new(match error.status() {
        Some(code) => format!("the mail server has answered {code}"),
        None if error.is_tls() => "no TLS with the mail server".to_owned(),
        None if error.is_timeout() => "the mail server does not answer in time".to_owned(),
        None => "the mail server cannot be reached".to_owned(),
    })
}

fn hand_over(email: &Email, message: &Message) -> Result<(), Trouble> {
    let transport = transport(email).map_err(|failure| Trouble::new(failure.message))?;
    // What a server says is its own; it is one line, and not long.
    let said = |error: lettre::transport::smtp::Error| -> String {
        error.to_string().chars().filter(|c| !c.is_control()).take(300).collect()
    };
    transport.send(message).map(drop).map_err(|error| Trouble::new(said(error)))
}

fn message(email: &Email, letter: &Letter) -> Result<Message, Trouble> {
    let trouble = |error: &dyn std::fmt::Display| Trouble::new(format!("no message can be made: {error}"));
    let address = |text: &str| text.parse::<Address>().map_err(|error| trouble(&error));
    let (from, to) = (address(&email.from)?, address(&email.to)?);
    let (size, log) = (letter.size, &letter.log_id);
    let name = format!("{size:020}.checkpoint");
    let id = format!("<stepgate.{log}.{size}@{}>", from.domain());
    let text = format!(
        "This signed checkpoint covers the first {size} records of the audit log {log}.\n\
         Keep it away from the gate: who has it can tell whether any of them was changed or removed since,\n\
         \n    stepgate audit verify --checkpoint {name}\n\nwith the attached file.\n\n{}",
        letter.text
    );
    Message::builder()
        .from(from.into())
        .to(to.into())
        .subject(format!("Stepgate checkpoint: {size} records"))
        .message_id(Some(id))
        .multipart(
            MultiPart::mixed()
                .singlepart(SinglePart::plain(text))
                // As bytes: mail may change the ends of lines of texts, and then no signature holds.
                .singlepart(Attachment::new(name).body(letter.text.clone().into_bytes(), octets()?)),
        )
        .map_err(|error| trouble(&error))
}

fn octets() -> Result<ContentType, Trouble> {
    ContentType::parse("application/octet-stream").map_err(|error| Trouble::new(error.to_string()))
}

/// What talks to the mail server; also to find out whether all it needs is there.
pub(super) fn transport(email: &Email) -> Result<SmtpTransport, Failure> {
    let place = &email.smtp;
    let mut builder = SmtpTransport::builder_dangerous(&place.host).port(place.port).timeout(Some(STEP));
    builder = builder.tls(match email.tls {
        MailTls::None => Tls::None,
        MailTls::Implicit => Tls::Wrapper(parameters(email)?),
        // Not `Opportunistic`: whoever stands in between could take the offer away.
        MailTls::Starttls => Tls::Required(parameters(email)?),
    });
    if let Some((user, file)) = &email.login {
        let password = secret::read_private(file)?;
        builder = builder.credentials(Credentials::new(user.clone(), password.to_string()));
    }
    Ok(builder.build())
}

fn parameters(email: &Email) -> Result<TlsParameters, Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::usage(format!("TLS cannot be set up: {error}"));
    let mut builder = TlsParameters::builder(email.smtp.host.clone());
    if let Some(ca) = &email.ca {
        builder = builder.certificate_store(CertificateStore::None);
        for certificate in tls::authorities(Some(ca))? {
            let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| trouble(&error))?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| trouble(&error))
}

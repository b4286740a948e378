//! Codes, and words on their accounts, on their way to people, by e-mail or SMS: a short queue, and a thread that empties it.
//!
//! Nobody waits for it. Whether it works is found out at the start, and again after each failure until it does: while it
//! does not, people are offered what else they have. What a person is told of that says nothing of anybody's message.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use stepgate_approval::{CHALLENGE_LIFE, Channel, Message};

use super::mail;
use super::post::Poster;
use super::trouble::Trouble;
use crate::config::{Email, Senders, WebTarget};
use crate::failure::Failure;

/// Messages that wait at once: with more there is something wrong, and their codes would lapse.
const MAX_WAITING: usize = 256;

/// How long until it is tried again whether it works.
const PAUSE: Duration = Duration::from_secs(10);

/// Finds out whether all files are there that the configuration names for this.
pub(crate) fn check_senders(senders: &Senders) -> Result<(), Failure> {
    let about = |key: &str, failure: Failure| Failure {
        message: format!("factors.{key}: {}", failure.message),
        ..failure
    };
    if let Some(email) = &senders.email {
        mail::transport(email).map_err(|failure| about("email", failure))?;
    }
    if let Some(sms) = &senders.sms {
        Poster::new(sms).map_err(|failure| about("sms", failure))?;
    }
    Ok(())
}

/// One way out.
pub(crate) struct CodeChannel {
    queue: SyncSender<(Message, Instant)>,
    /// Why it does not work.
    down: Arc<Mutex<Option<String>>>,
}

impl CodeChannel {
    /// By e-mail.
    pub(crate) fn email(email: &Email) -> Result<Self, Failure> {
        Self::start("codes-email", Mailer(email.clone()))
    }

    /// By SMS.
    pub(crate) fn sms(target: &WebTarget) -> Result<Self, Failure> {
        Self::start("codes-sms", Texter(Poster::new(target)?))
    }

    fn start(name: &str, carrier: impl Carrier) -> Result<Self, Failure> {
        let (queue, waiting) = sync_channel(MAX_WAITING);
        let down = Arc::default();
        let work = Work { name: name.to_owned(), carrier, waiting, down: Arc::clone(&down) };
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || work.run()).map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        Ok(Self { queue, down })
    }
}

impl Channel for CodeChannel {
    fn health(&self) -> Result<(), String> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    fn send(&self, message: Message) -> Result<(), String> {
        let full = |_| "too many messages wait to be sent".to_owned();
        self.queue.try_send((message, Instant::now())).map_err(full)
    }
}

/// What hands messages over.
trait Carrier: Send + 'static {
    fn send(&self, message: &Message) -> Result<(), Trouble>;

    /// Whether it works at all, given how a message failed, if one did.
    fn probe(&self, failed: Option<&Trouble>) -> Result<(), Trouble>;
}

struct Mailer(Email);

impl Carrier for Mailer {
    fn send(&self, message: &Message) -> Result<(), Trouble> {
        mail::send_code(&self.0, &message.to, (message.subject, &message.text))
    }

    /// A server that lets the gate in has refused that message alone: a wrong address of one person's is no reason to
    /// offer e-mail to nobody.
    fn probe(&self, _: Option<&Trouble>) -> Result<(), Trouble> {
        mail::probe(&self.0)
    }
}

struct Texter(Poster);

impl Carrier for Texter {
    fn send(&self, message: &Message) -> Result<(), Trouble> {
        let text: &str = &message.text;
        let body = zeroize::Zeroizing::new(json!({"to": message.to, "text": text}).to_string());
        self.0.post("application/json", &[], body.as_bytes())
    }

    /// There is no asking without sending: after a failure it counts as down for a while. What the receiver says of
    /// one number (400, 422) is about that one.
    fn probe(&self, failed: Option<&Trouble>) -> Result<(), Trouble> {
        match failed {
            Some(trouble) if !matches!(trouble.why.as_str(), "answered 400" | "answered 422") => {
                Err(Trouble::new(match trouble.why.starts_with("answered ") {
                    true => format!("the SMS service has {}", trouble.why),
                    false => "the SMS service cannot be reached".to_owned(),
                }))
            }
            _ => Ok(()),
        }
    }
}

struct Work<C> {
    name: String,
    carrier: C,
    waiting: Receiver<(Message, Instant)>,
    down: Arc<Mutex<Option<String>>>,
}

impl<C: Carrier> Work<C> {
    /// Until nobody can hand anything in any more.
    fn run(self) {
        self.probe(None);
        loop {
            let is_down = self.down.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            let next = if is_down {
                self.waiting.recv_timeout(PAUSE)
            } else {
                self.waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match next {
                // Its code has lapsed.
                Ok((_, since)) if since.elapsed() >= CHALLENGE_LIFE => {}
                Ok((message, _)) => match self.carrier.send(&message) {
                    Ok(()) => self.set(None),
                    Err(trouble) => {
                        tracing::warn!(channel = %self.name, why = %trouble.why, "a code could not be sent");
                        self.probe(Some(&trouble));
                    }
                },
                Err(RecvTimeoutError::Timeout) => self.probe(None),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn probe(&self, failed: Option<&Trouble>) {
        self.set(self.carrier.probe(failed).err().map(|trouble| trouble.why));
    }

    fn set(&self, why: Option<String>) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*down, &why) {
            (None, Some(why)) => tracing::warn!(channel = %self.name, %why, "codes cannot be sent"),
            (Some(_), None) => tracing::info!(channel = %self.name, "codes can be sent again"),
            _ => {}
        }
        *down = why;
    }
}

//! What happens to somebody's own account: told to them by their other channels, and by the console when they come
//! again (NIST SP 800-63B-4 section 4.1: people hear of changes to their authenticators).
//!
//! It is read from the log, so that what an operator does is told as what somebody does with a stolen password is. Whoever
//! adds an e-mail address is not told of it there but by what was enrolled before; whoever removes one does not keep its
//! owner from hearing of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use stepgate_approval::{Message, Method};
use stepgate_record::{Event, Record};
use stepgate_types::{PersonName, Timestamp};
use zeroize::Zeroizing;

use super::Desk;
use super::inner::Inner;
use super::pace::What;

/// News of one person that are kept; the oldest go first. Each is some 100 bytes.
const MAX_NEWS: usize = 10;

/// What is shown also to who was here since.
const LATELY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where somebody is told, at most.
const MAX_PLACES: usize = 8;

/// One thing that has happened to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountNews {
    /// The record's number.
    pub record: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What, in words.
    pub what: &'static str,
    /// Whether it was since they were last here.
    pub is_new: bool,
    #[serde(skip)]
    when: Timestamp,
}

/// A place where somebody can be told: how, and the address.
type Place = (Method, Zeroizing<String>);

/// What is known of accounts. News and the last logins come from the log; places from what is enrolled.
#[derive(Default)]
pub(super) struct Accounts {
    news: BTreeMap<PersonName, VecDeque<AccountNews>>,
    /// When somebody last came, and the time before.
    here: BTreeMap<PersonName, (Option<Timestamp>, Timestamp)>,
    /// By authenticator, as they were when something last happened: one that is removed is still told of that.
    places: BTreeMap<PersonName, BTreeMap<String, Place>>,
}

/// In words, what a person must hear of.
fn words(action: &str) -> Option<&'static str> {
    Some(match action {
        "factor.enrolled" => "a way to verify yourself was added to your account",
        "factor.removed" => "a way to verify yourself was removed from your account",
        "factor.code_issued" => "a code to enrol by was made for your account",
        "factor.recovery_used" => "one of your recovery codes was used",
        "factor.suspended" => "a way to verify yourself was suspended after many wrong codes",
        "factor.reset_asked" => "somebody asks to reset all your ways to verify yourself",
        "factor.reset" => "all your ways to verify yourself were reset",
        "user.password_set" => "your password was changed",
        _ => return None,
    })
}

impl Accounts {
    /// Takes in what a record says; what is new by it, and of which authenticator.
    pub(super) fn take<'r>(
        &mut self,
        record: &'r Record,
        name: impl Fn(&stepgate_types::Who) -> Option<PersonName>,
    ) -> Option<(PersonName, AccountNews, Option<&'r str>)> {
        match &record.event {
            Event::AdminLogin { person, .. } => {
                self.arrives(&name(person)?, record.at);
                None
            }
            Event::AdminAction { action, person: Some(person), .. } if action == "user.removed" => {
                let person = name(person)?;
                self.news.remove(&person);
                self.here.remove(&person);
                self.places.remove(&person);
                None
            }
            Event::AdminAction { action, person: Some(person), authenticator, .. } => {
                let (what, person) = (words(action)?, name(person)?);
                let (number, when) = (record.seq, record.at);
                let news = AccountNews { record: number, at: when.to_string(), what, is_new: true, when };
                let own = self.news.entry(person.clone()).or_default();
                // The log was read at the start already, a little further than what was told then.
                if own.back().is_some_and(|last| last.record >= news.record) {
                    return Some((person, news, authenticator.as_deref()));
                }
                if own.len() >= MAX_NEWS {
                    own.pop_front();
                }
                own.push_back(news.clone());
                Some((person, news, authenticator.as_deref()))
            }
            _ => None,
        }
    }

    fn arrives(&mut self, person: &PersonName, now: Timestamp) {
        let here = self.here.entry(person.clone()).or_insert((None, now));
        if here.1 < now {
            *here = (Some(here.1), now);
        }
    }
}

impl Desk {
    /// What has happened to somebody's account since they were here before this time, and lately: whoever has their
    /// password is not to hide it by coming twice.
    #[must_use]
    pub fn account_news(&self, person: &PersonName) -> Vec<AccountNews> {
        let (now, state) = (self.0.clock.now(), self.0.state());
        let before = state.accounts.here.get(person).and_then(|(before, _)| *before);
        let news = state.accounts.news.get(person).into_iter().flatten();
        let marked = news.map(|news| {
            let is_new = before.is_none_or(|before| news.when > before);
            AccountNews { is_new, ..news.clone() }
        });
        marked.filter(|news| news.is_new || now.since(news.when) < LATELY).collect()
    }

    /// Remembers where everybody could be told, before anything changes.
    pub fn know_places(&self) {
        for person in self.0.people.list() {
            let places = self.0.places_of(&person.name);
            self.0.state().accounts.places.insert(person.name.clone(), places);
        }
    }

    /// Takes in a record of what happens, and tells whom it concerns by their other channels.
    ///
    /// # Errors
    /// Why nobody could be told by any of them; to be tried again.
    pub fn account_happens(&self, record: &Record) -> Result<(), String> {
        self.0.account_happens(record)
    }
}

impl Inner {
    /// Where this person could be told by a message, by authenticator.
    fn places_of(&self, person: &PersonName) -> BTreeMap<String, Place> {
        let all = self.factors.list(person).into_iter();
        let by_message = all.filter(|it| matches!(it.method(), Method::Email | Method::Sms)).take(MAX_PLACES);
        let place = by_message.filter_map(|it| {
            let to = std::str::from_utf8(&it.secret).ok()?.to_owned();
            Some((it.id.to_string(), (it.method(), Zeroizing::new(to))))
        });
        place.collect()
    }

    fn account_happens(&self, record: &Record) -> Result<(), String> {
        let names = self.log.subjects();
        let happened = self.state().accounts.take(record, |who| names.person(who));
        let Some((person, news, authenticator)) = happened else { return Ok(()) };
        let places = self.places_of(&person);
        let known = self.state().accounts.places.get(&person).cloned().unwrap_or_default();
        let added = news.what == words("factor.enrolled").unwrap_or_default();
        // Not by what was added just now: whoever did that reads it there, too.
        let is_other = |id: &str| !(added && authenticator == Some(id));
        let mut told = known;
        told.extend(places.clone());
        told.retain(|id, _| is_other(id));
        let sent = self.tell_places(&person, &told, news.what);
        if sent.is_ok() {
            // From here on, also by what was added, and not by what is gone.
            self.state().accounts.places.insert(person, places);
        }
        sent
    }

    fn tell_places(
        &self,
        person: &PersonName,
        places: &BTreeMap<String, Place>,
        what: &str,
    ) -> Result<(), String> {
        let mut failed = None;
        let mut sent = places.is_empty();
        for (method, to) in places.values() {
            let Some(channel) = self.channel(*method) else {
                // Not configured any more: there is nothing to try again.
                sent = true;
                continue;
            };
            if let Err(why) = channel.health() {
                failed = Some(why);
                continue;
            }
            let now = self.clock.monotonic();
            if !self.state().pace.allows(person, What::Told, now) {
                sent = true;
                continue;
            }
            let text = format!(
                "{what}. If that was not you, or not at your request, tell whoever runs the gate now. Nobody will ask you \
                 for a code on account of this message."
            );
            let text = Zeroizing::new(sentence(&text));
            let subject = Some("Your Stepgate account");
            match channel.send(Message { to: to.as_str().to_owned(), text, subject }) {
                Ok(()) => sent = true,
                Err(why) => failed = Some(why),
            }
        }
        match failed {
            Some(why) if !sent => Err(why),
            _ => Ok(()),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

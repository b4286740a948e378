//! Notices: that somebody waits, what became of it, and what must be looked into. They say nothing of anybody's, name
//! nobody, and decide nothing: whoever reads one has to log in to see what it is about.
//!
//! A notice is made from a record, and the log is the queue, as for sinks: none is lost while a receiver is away. But
//! nobody is told of what is over (`MAX_AGE`), and no record is kept for a notice's sake.

mod chat;
mod message;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use stepgate_store::Place;
use stepgate_types::Timestamp;

pub(super) use message::Notice;

use super::batch::{Batch, Source};
use super::courier::Way;
use super::mail;
use super::post::Poster;
use super::trouble::Trouble;
use crate::config::{Chat, NotifyTo, WebUrl, safe_url};
use crate::failure::Failure;
use crate::secret;

/// Older than this, it helps nobody.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that are remembered at most.
const MAX_TOLD: usize = 1024;

/// Uses of a break-glass that are told one by one.
const MAX_USES: u32 = 30;

/// How far apart they are told beyond.
const BETWEEN_USES: Duration = Duration::from_secs(60);

/// Tells one receiver.
pub(super) struct NoticeWay {
    to: NotifyTo,
    /// The console's address.
    console: String,
    poster: Option<Poster>,
    settled: u64,
    /// Requests of whose beginning was told, the latest ones: of the end of others, nobody here has to know.
    told: VecDeque<String>,
    /// The break-glass of which uses were told last, how many, and when the last.
    used: Option<(String, u32, Timestamp)>,
}

impl NoticeWay {
    pub(super) fn new(to: NotifyTo, console: &str) -> Self {
        Self { to, console: console.to_owned(), poster: None, settled: 0, told: VecDeque::new(), used: None }
    }

    fn concerns(&self, notice: &Notice, now: Timestamp) -> bool {
        let known = |request: &str| self.told.iter().any(|told| told == request);
        // Of one of whose beginning nobody here was told, neither.
        let about = notice.ended().or_else(|| notice.escalated());
        notice.is_news(now, MAX_AGE) && about.is_none_or(known)
    }

    /// Each use of a break-glass is told, but of a program that sends thousands of statements one a minute: a room that
    /// is flooded is not read. How many there were is told at its end.
    fn floods(&mut self, notice: &Notice) -> bool {
        let Some((glass, at)) = notice.used() else { return false };
        match &mut self.used {
            Some((last, count, told)) if last == glass => {
                if *count >= MAX_USES && at.since(*told) < BETWEEN_USES {
                    return true;
                }
                (*count, *told) = (count.saturating_add(1), at);
            }
            used => *used = Some((glass.to_owned(), 1, at)),
        }
        false
    }

    fn remember(&mut self, notice: &Notice) {
        if let Some(ended) = notice.ended() {
            self.told.retain(|told| told != ended);
        }
        if let Some(opened) = notice.opened() {
            if self.told.len() >= MAX_TOLD {
                self.told.pop_front();
            }
            self.told.push_back(opened.to_owned());
        }
    }

    fn tell(&self, notice: &Notice) -> Result<(), Trouble> {
        match &self.to {
            NotifyTo::Email(email) => mail::send_text(email, &notice.subject(), &notice.id(), &notice.text()),
            NotifyTo::Webhook(_) => self.post(&notice.json()),
            NotifyTo::Chat(chat) => self.post(&chat::body(chat.kind, notice)),
        }
    }

    fn post(&self, body: &serde_json::Value) -> Result<(), Trouble> {
        let Some(poster) = &self.poster else { return Err(Trouble::new("not ready")) };
        poster.post("application/json", &[], body.to_string().as_bytes())
    }
}

impl Way for NoticeWay {
    fn open(&mut self, from: u64, _: Option<Place>, _: &Source) -> Result<u64, Trouble> {
        self.settled = from;
        // Read anew each time: secrets and certificates are renewed.
        self.poster = None;
        self.poster = poster(&self.to).map_err(|failure| Trouble::new(failure.message))?;
        Ok(from)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let now = jiff::Timestamp::now().as_microsecond();
        let notice = |line| Notice::of(line, &self.console);
        let notices: Vec<_> = batch.lines.iter().map(|line| (line.head.seq, notice(line))).collect();
        // Of what was called off meanwhile nobody has to know: who asks and calls off in a loop keeps no alarm waiting.
        let called_off = notices.iter().filter_map(|(_, notice)| notice.as_ref()?.called_off());
        let called_off: BTreeSet<_> = called_off.map(str::to_owned).collect();
        for (seq, notice) in notices {
            let waits =
                |notice: &Notice| !notice.opened().is_some_and(|request| called_off.contains(request));
            let notice = notice.filter(waits);
            let notice = notice.filter(|notice| self.concerns(notice, Timestamp::from_micros(now)));
            if let Some(notice) = notice.filter(|notice| !self.floods(notice)) {
                self.tell(&notice)?;
                self.remember(&notice);
            }
            self.settled = seq.saturating_add(1);
        }
        Ok(())
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        Ok(self.settled)
    }
}

/// Finds out whether all that one needs is there.
pub(super) fn check(to: &NotifyTo) -> Result<(), Failure> {
    match to {
        NotifyTo::Email(email) => mail::transport(email).map(drop),
        NotifyTo::Webhook(_) | NotifyTo::Chat(_) => poster(to).map(drop),
    }
}

/// What kind of receiver, and where, without anything secret.
pub(super) fn shown(to: &NotifyTo) -> (&'static str, String) {
    match to {
        NotifyTo::Webhook(target) => ("notices by webhook", target.url.shown.clone()),
        NotifyTo::Chat(chat) => (chat::kind(chat.kind), chat.url_file.display().to_string()),
        NotifyTo::Email(email) => ("notices by e-mail", email.to.clone()),
    }
}

fn poster(to: &NotifyTo) -> Result<Option<Poster>, Failure> {
    match to {
        NotifyTo::Webhook(target) => Poster::new(target).map(Some),
        NotifyTo::Chat(chat) => {
            address(chat).and_then(|url| Poster::unsigned(&url, chat.ca.as_deref())).map(Some)
        }
        NotifyTo::Email(_) => Ok(None),
    }
}

fn address(chat: &Chat) -> Result<WebUrl, Failure> {
    let url = secret::read_private(&chat.url_file)?;
    // Not what it is: whoever has it can write there.
    safe_url(&url)
        .map_err(|why| Failure::usage(format!("the address in {} {why}", chat.url_file.display())))?;
    Ok(WebUrl { url: url.to_string(), shown: String::new() })
}

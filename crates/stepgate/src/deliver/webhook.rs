//! A webhook: batches are posted, and count once the receiver has said that it has them.

use stepgate_store::Place;

use super::batch::{Batch, Source};
use super::courier::Way;
use super::post::Poster;
use super::trouble::Trouble;
use crate::config::Webhook;

/// A receiver of posts.
pub(super) struct WebhookWay {
    config: Webhook,
    log_id: String,
    poster: Option<Poster>,
    settled: u64,
}

impl WebhookWay {
    pub(super) fn new(config: Webhook, log_id: &str) -> Self {
        Self { config, log_id: log_id.to_owned(), poster: None, settled: 0 }
    }
}

impl Way for WebhookWay {
    fn open(&mut self, from: u64, _: Option<Place>, _: &Source) -> Result<u64, Trouble> {
        self.settled = from;
        // Read anew each time: secrets and certificates are renewed.
        self.poster = None;
        let poster = Poster::new(&self.config.target).map_err(|failure| Trouble::new(failure.message))?;
        self.poster = Some(poster);
        Ok(from)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let Some(poster) = &self.poster else { return Err(Trouble::new("not ready")) };
        let (kind, body) = if self.config.array {
            ("application/json", joined(batch, b"[", b",", b"]"))
        } else {
            ("application/x-ndjson", joined(batch, b"", b"\n", b"\n"))
        };
        let headers = [
            ("Stepgate-Log", self.log_id.clone()),
            ("Stepgate-First", batch.first().to_string()),
            ("Stepgate-Records", batch.lines.len().to_string()),
        ];
        poster.post(kind, &headers, &body)?;
        self.settled = batch.end();
        Ok(())
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        Ok(self.settled)
    }
}

fn joined(batch: &Batch, first: &[u8], between: &[u8], last: &[u8]) -> Vec<u8> {
    let mut body = first.to_vec();
    for (number, line) in batch.lines.iter().enumerate() {
        if number > 0 {
            body.extend(between);
        }
        body.extend(&line.text);
    }
    body.extend(last);
    body
}

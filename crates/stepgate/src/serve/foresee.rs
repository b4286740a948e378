//! What statements would read that are not sent yet, for requests ahead of time.

use std::sync::Arc;

use stepgate_console::{Foreseen, Wish};
use stepgate_proxy::{AskAhead, Gate};
use stepgate_types::{Limit, PersonName, Timestamp};

/// Asks the gate.
pub(super) struct Foresee(pub(super) Arc<Gate>);

impl stepgate_console::Foresee for Foresee {
    fn foresee<'a>(&'a self, by: &'a PersonName, wish: &'a Wish) -> Foreseen<'a> {
        Box::pin(async move {
            let until: jiff::Timestamp = wish
                .until
                .parse()
                .map_err(|_| "`until` is a time such as 2026-01-31T12:00:00Z".to_owned())?;
            let search_path = if wish.search_path.is_empty() {
                vec!["public".to_owned()]
            } else {
                wish.search_path.clone()
            };
            let ahead = AskAhead {
                by: by.clone(),
                service: wish.service.clone(),
                database: wish.database.clone(),
                statements: wish.statements.clone(),
                // Where the server looks first, unless told otherwise.
                search_path: std::iter::once("pg_catalog".to_owned()).chain(search_path).collect(),
                time_zone: wish.time_zone.clone(),
                until: Timestamp::from_micros(until.as_microsecond()),
                limit: Limit::of(wish.rows, wish.bytes),
            };
            Arc::clone(&self.0).ask_ahead(&ahead).await.map_err(|error| error.to_string())
        })
    }

    fn mentions(&self, person: &PersonName) -> bool {
        self.0.rules().mentions(person)
    }
}

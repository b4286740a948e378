//! Who is having a request worked out ahead of time: each takes a connection of the server's, which has few.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use stepgate_types::PersonName;
use tokio::sync::{Semaphore, SemaphorePermit};

/// So many are worked out at once, of different people; others wait for their turn.
const AT_ONCE: usize = 2;

/// People whose request is being worked out, or waits for that: one each.
#[derive(Debug)]
pub(crate) struct Preparing {
    people: Mutex<BTreeSet<PersonName>>,
    turns: Semaphore,
}

impl Default for Preparing {
    fn default() -> Self {
        Self { people: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'p> {
    _person: Person<'p>,
    _permit: SemaphorePermit<'p>,
}

/// Who has, or waits for, a turn.
#[derive(Debug)]
struct Person<'p>(&'p Preparing, PersonName);

impl Preparing {
    /// This person's turn, once there is one; `None`: they have one, or wait for one.
    pub(super) async fn turn(&self, person: &PersonName) -> Option<Turn<'_>> {
        let is_new = self.people.lock().unwrap_or_else(PoisonError::into_inner).insert(person.clone());
        // Also if whoever waits goes away meanwhile, the name is free again.
        let person = is_new.then(|| Person(self, person.clone()))?;
        let permit = self.turns.acquire().await.ok()?;
        Some(Turn { _person: person, _permit: permit })
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        let Self(preparing, person) = self;
        preparing.people.lock().unwrap_or_else(PoisonError::into_inner).remove(person);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_person_has_one_request_worked_out_at_a_time_and_all_of_them_few() {
        let preparing = Preparing::default();
        let [dana, eve, omar] = ["dana", "eve", "omar"].map(|name| name.parse::<PersonName>().unwrap());
        let first = preparing.turn(&dana).await.unwrap();
        assert!(preparing.turn(&dana).await.is_none());
        let _second = preparing.turn(&eve).await.unwrap();
        let third = preparing.turn(&omar);
        // He waits, and gives up: nothing of him is left.
        assert!(tokio::time::timeout(Duration::from_millis(10), third).await.is_err());
        drop(first);
        let _third = preparing.turn(&omar).await.unwrap();
        assert!(preparing.turn(&omar).await.is_none());
        assert!(preparing.turn(&eve).await.is_none());
    }
}

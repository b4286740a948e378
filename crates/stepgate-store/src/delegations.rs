//! Rights to answer that people lend each other for a while: kept with who lends them, so that they go with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_record::{Delegated, Event};
use stepgate_types::{Actor, GroupName, PersonName, Timestamp, Who};

use crate::people::Person;
use crate::{People, PersonError};

/// How many loans a person has out at a time.
const MAX_LOANS: usize = 8;

/// For how long at most: whoever is away for longer has a successor.
const MAX_TIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// A right to answer for some groups that its owner has lent to a colleague.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// To whom.
    pub to: PersonName,
    /// For which of their groups.
    pub groups: BTreeSet<GroupName>,
    /// From when on, in microseconds since the Unix epoch.
    pub from_us: i64,
    /// Until when.
    pub until_us: i64,
}

impl Loan {
    fn is_over(&self, now: Timestamp) -> bool {
        now.micros() >= self.until_us
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.from_us <= now.micros() && !self.is_over(now)
    }
}

impl People {
    /// Lends the right of `name` to answer for these groups to a colleague, in place of what was lent to them before.
    /// No groups: nothing is lent any more.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn lend(&self, name: &PersonName, loan: Loan, by: impl Into<Actor>) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let (mut person, by) = (Person::clone(&*self.known(name)?), by.into());
        let now = self.now();
        // What holds goes on, and what does not begins now at the earliest: nobody has had it before.
        let goes_on = person.loans.iter().find(|other| other.to == loan.to && other.holds(now));
        let goes_on = goes_on.filter(|other| loan.holds(now) && loan.groups.is_subset(&other.groups));
        let from_us = goes_on.map_or(loan.from_us.max(now.micros()), |other| other.from_us);
        let loan = Loan { from_us, ..loan };
        person.loans.retain(|other| other.to != loan.to && !other.is_over(now));
        if !loan.groups.is_empty() {
            self.check(&person, &loan)?;
            person.loans.push(loan.clone());
        }
        let event = Event::Delegated(Delegated {
            person: Who::from(name),
            to: Who::from(&loan.to),
            groups: loan.groups.into_iter().collect(),
            from_us: loan.from_us,
            until_us: loan.until_us,
            by: by.by(),
            operator: by.operator(),
        });
        self.put_with(person, event).await
    }

    fn check(&self, person: &Person, loan: &Loan) -> Result<(), PersonError> {
        let no = |why| Err(PersonError::Loan(why));
        let to = self.known(&loan.to)?;
        if to.service || person.service {
            return no("a service answers no requests");
        }
        if loan.to == person.name {
            return no("nobody lends a right to themselves");
        }
        let groups = self.get(&person.name).map(|person| person.groups.clone()).unwrap_or_default();
        if !loan.groups.iter().all(|group| groups.contains(group)) {
            return no("only the groups that somebody is in can be lent");
        }
        let now = self.now();
        let (from, until) = (Timestamp::from_micros(loan.from_us), Timestamp::from_micros(loan.until_us));
        if loan.is_over(now) || until <= from || until.since(now.max(from)) > MAX_TIME {
            return no("the end is after the beginning and not yet over, and within 90 days of it");
        }
        if person.loans.len() >= MAX_LOANS {
            return no("a person lends to at most 8 others at a time");
        }
        Ok(())
    }

    /// Who has lent this person the right to answer at this moment, and for which groups they are in themselves: what
    /// was lent to those is not lent on. Of that, what they have been lent, and those been in, all along since `then`.
    pub(crate) fn lent_since(
        &self,
        name: &PersonName,
        then: Timestamp,
        now: Timestamp,
    ) -> BTreeMap<PersonName, BTreeSet<GroupName>> {
        let mut lent = BTreeMap::new();
        for person in self.lenders() {
            let is_it = |loan: &&Loan| loan.to == *name && loan.holds(now) && loan.from_us <= then.micros();
            let loans: Vec<_> = person.loans.iter().filter(is_it).collect();
            let is_lent = |group: &&GroupName| loans.iter().any(|loan| loan.groups.contains(*group));
            let groups: BTreeSet<_> = person.groups_since(then).filter(is_lent).cloned().collect();
            if !groups.is_empty() {
                lent.insert(person.name.clone(), groups);
            }
        }
        lent
    }

    /// Who has lent anything.
    fn lenders(&self) -> Vec<Arc<Person>> {
        let names = self.lending().read().unwrap_or_else(PoisonError::into_inner).clone();
        names.iter().filter_map(|name| self.get(name)).collect()
    }

    /// Those who have lent something to this person, without that: whoever is removed and added again is somebody else.
    pub(crate) fn without_loans_to(&self, name: &PersonName) -> Vec<Person> {
        let lenders =
            self.lenders().into_iter().filter(|person| person.loans.iter().any(|loan| loan.to == *name));
        let without = lenders.filter_map(|person| {
            let mut person = Person::clone(&*self.known(&person.name).ok()?);
            person.loans.retain(|loan| loan.to != *name);
            Some(person)
        });
        without.collect()
    }
}

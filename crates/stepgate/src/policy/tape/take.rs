//! Putting it together again, at the command line.

use std::collections::HashMap;
use std::time::Duration;

use stepgate_record::Outcome;
use stepgate_types::Timestamp;

use super::{Line, News, Person, Run, Shape, Span};
use crate::audit::AuditOperator;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};

/// The most limits that one statement is known to have reached.
const MOST_POINTS: usize = 100;

/// The statements of a period.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) shapes: Vec<Shape>,
    /// Sessions, by their persons.
    pub(crate) sessions: Vec<u32>,
    /// Who there is: each person with each address and client once.
    pub(crate) persons: Vec<Person>,
    pub(crate) runs: Vec<Run>,
    /// What became of each run.
    pub(crate) after: Vec<After>,
    /// The hash of the map that each policy came with.
    pub(crate) maps: HashMap<String, String>,
    /// How often grants were used, by the approval that they are of.
    pub(crate) grants: HashMap<String, Vec<u64>>,
    /// Records that were read.
    pub(crate) read: u64,
    /// When sessions began, where that is known.
    pub(crate) opened: HashMap<u32, i64>,
    /// Rows and bytes that were out of runs which reached limits, and the bytes of the rows that waited.
    pub(crate) reached: HashMap<u32, Vec<(u64, u64, u64)>>,
    /// From when on all is known, where the log is older: what went before is not.
    pub(crate) since_us: Option<i64>,
    /// Runs before are there only for what limits had counted by then.
    pub(crate) counts_from_us: i64,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct After {
    /// Requests that were opened for it.
    pub(crate) asked: u16,
    /// How the last of them ended.
    pub(crate) ended: Option<Outcome>,
    /// Rows and bytes that it delivered, where it ran.
    pub(crate) delivered: Option<(u64, u64)>,
    /// Its transaction had failed: it was refused unseen.
    pub(crate) aborted: bool,
    /// A limit ended it.
    pub(crate) cut: bool,
    /// It had waited, and then ran.
    pub(crate) began: bool,
    /// When it delivered, where that was asked for.
    pub(crate) span: Option<Span>,
}

/// Asks for the statements of a period.
///
/// `lead`: where limits count over sessions and windows, how much earlier it begins, for what they had counted by then.
pub(crate) fn take(
    link: &Link,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    lead: Option<Duration>,
) -> Result<Tape, Failure> {
    let mut taking = Taking::default();
    let lead_us = lead.map_or(0, |lead| i64::try_from(lead.as_micros()).unwrap_or(i64::MAX));
    let from = since.map(|since| Timestamp::from_micros(since.micros().saturating_sub(lead_us)));
    taking.tape.since_us = from.map(Timestamp::micros);
    taking.tape.counts_from_us = since.map_or(i64::MIN, Timestamp::micros);
    let command = Operator::audit(AuditOperator::Tape { since: from, until, spans: lead.is_some() });
    link.send(command, &mut |reply| match reply {
        Reply::Text(text) => text.lines().try_for_each(|line| taking.line(line)),
        _ => Ok(()),
    })?;
    Ok(taking.tape)
}

/// One that is being put together.
#[derive(Default)]
pub(crate) struct Taking {
    pub(crate) tape: Tape,
    numbers: HashMap<Person, u32>,
}

impl Taking {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        let strange =
            || Failure::unreachable("the gate's answer is not understood: is it of another version?");
        let tape = &mut self.tape;
        match serde_json::from_str(line).map_err(|_| strange())? {
            Line::Loaded { policy, map } => drop(tape.maps.insert(policy, map)),
            Line::Shape(shape) => tape.shapes.push(*shape),
            Line::Session => tape.sessions.push(0),
            Line::Of(session, person) => {
                let next = u32::try_from(tape.persons.len()).map_err(|_| strange())?;
                let number = *self.numbers.entry(person).or_insert_with_key(|person| {
                    tape.persons.push(person.clone());
                    next
                });
                let session = usize::try_from(session).map_err(|_| strange())?;
                *tape.sessions.get_mut(session).ok_or_else(strange)? = number;
            }
            Line::Opened(session, at_us) => drop(tape.opened.insert(session, at_us)),
            // All that there ever was.
            Line::Begins(at_us) => tape.since_us = tape.since_us.filter(|since| *since > at_us),
            Line::Runs(runs) => {
                tape.runs.extend(runs);
                tape.after.resize(tape.runs.len(), After::default());
            }
            Line::News(news) => {
                for (run, news) in news {
                    if let News::Reached(rows, bytes, next) = news {
                        let points = tape.reached.entry(run).or_default();
                        if points.len() < MOST_POINTS {
                            points.push((rows, bytes, next));
                        }
                    }
                    let run = usize::try_from(run).map_err(|_| strange())?;
                    tape.after.get_mut(run).ok_or_else(strange)?.take(news);
                }
            }
            Line::Grants { approval, uses } => tape.grants.entry(approval).or_default().extend(uses),
            Line::Read(read) => tape.read = read,
        }
        Ok(())
    }
}

impl After {
    fn take(&mut self, news: News) {
        match news {
            News::Asked | News::AskedMidway => self.asked = self.asked.saturating_add(1),
            News::Ended(outcome) => self.ended = Some(outcome),
            News::Delivered(rows, bytes) => self.delivered = Some((rows, bytes)),
            News::Aborted => self.aborted = true,
            News::Cut => self.cut = true,
            News::Began => self.began = true,
            News::Span(span) => self.span = Some(span),
            News::Reached(..) => {}
        }
    }
}

impl Tape {
    /// The shape of a run, and the number of who sent it.
    pub(crate) fn of(&self, run: &Run) -> Option<(&Shape, u32)> {
        let shape = self.shapes.get(usize::try_from(run.shape).ok()?)?;
        let person = *self.sessions.get(usize::try_from(run.session).ok()?)?;
        Some((shape, person))
    }

    /// Who sent a run.
    pub(crate) fn person(&self, number: u32) -> Option<&Person> {
        self.persons.get(usize::try_from(number).ok()?)
    }
}

//! Running a tape through rules, and counting.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use stepgate_policy::{Gap, Ruleset};
use stepgate_record::Outcome as Ended;
use stepgate_types::{Action, Timestamp};

use super::days::{Days, Spread, date};
use super::grants::{Desk, Sent};
use super::known::Known;
use super::meters::{Between, Metering, Meters};
use super::trial::{Outcome, Trial};
use crate::policy::tape::{After, Passed, Person, Run, Shape, Span, Tape, Verdict};

/// Kinds of denied statements that are listed.
const MOST_EXAMPLES: usize = 20;

/// Statements that are looked at for one that ran, or waited, beside them; with more, what they deliver is not known.
const MOST_BESIDE: usize = 100_000;

/// What comes of a tape under rules.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Statements that there were.
    pub(crate) statements: u64,
    /// Of these, refused since the gate could not do its part: nobody decided.
    pub(crate) failed: u64,
    /// Statements of which it can be told what would have become.
    pub(crate) decided: u64,
    /// And those of which it cannot.
    pub(crate) undecidable: u64,
    /// For which lack of their records; of some for several.
    pub(crate) reasons: Vec<Reason>,
    /// Statements on which the decision is another.
    pub(crate) changed: u64,
    /// From which action to which.
    pub(crate) matrix: Vec<Cell>,
    /// Requests of what needed none before.
    pub(crate) new_prompts: u64,
    /// Requests that there were of what needs none now.
    pub(crate) lost_prompts: u64,
    /// Requests at a limit, of what is being delivered.
    pub(crate) at_limits: u64,
    /// Statements that would have ended at a limit, for nobody can be asked for more.
    pub(crate) cut: u64,
    /// Statements of which it is not known how much they deliver: they never ran, or not to their end.
    pub(crate) of_unknown_size: u64,
    /// Statements that a remembered approval covers.
    pub(crate) covered: u64,
    /// Statements that are denied and were not.
    pub(crate) denied: u64,
    /// What these are like, the most frequent first.
    pub(crate) denied_examples: Vec<Example>,
    /// Requests of people a day before, and now.
    pub(crate) before: Spread,
    pub(crate) after: Spread,
    /// Each rule that matched, those with the most requests first.
    pub(crate) rules: Vec<RuleCount>,
    /// Requests by day before, and now.
    pub(crate) days: Vec<Day>,
}

/// Why something cannot be told.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) statements: u64,
}

/// So many statements had one action and have another, or the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Cell {
    pub(crate) from: Option<Action>,
    /// `None`: it cannot be told.
    pub(crate) to: Option<Action>,
    pub(crate) statements: u64,
}

/// Statements that are alike.
#[derive(Debug, Serialize)]
pub(crate) struct Example {
    pub(crate) database: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) relations: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) statements: u64,
    pub(crate) people: u64,
}

/// What comes of one rule.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct RuleCount {
    pub(crate) rule: String,
    /// Statements that it matched.
    pub(crate) matched: u64,
    /// Requests that it led to, with others or alone.
    pub(crate) prompts: u64,
    /// Statements that it denied.
    pub(crate) denied: u64,
    /// How many people it asked.
    pub(crate) people: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Day {
    pub(crate) day: String,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Counting in progress.
#[derive(Default)]
struct Counting {
    tally: Tally,
    matrix: BTreeMap<(Option<Action>, Option<Action>), u64>,
    gaps: BTreeMap<Gap, u64>,
    before: Days,
    after: Days,
    rules: HashMap<String, (RuleCount, BTreeSet<u32>)>,
    denied: HashMap<u32, (Vec<String>, u64, BTreeSet<u32>)>,
}

/// What is compared.
pub(crate) struct Compared<'c> {
    pub(crate) candidate: &'c Ruleset,
    /// Other rules than those that were in force.
    pub(crate) against: Option<&'c Ruleset>,
    pub(crate) known: &'c Known,
    pub(crate) tape: &'c Tape,
}

impl Compared<'_> {
    /// Runs all of the tape.
    pub(crate) fn tally(&self) -> Tally {
        let tape = self.tape;
        let numbers = by_name(tape);
        let mut counting = Counting::default();
        let mut new = Side::new(self.candidate, self.known, tape);
        let mut old = self.against.map(|rules| Side::new(rules, self.known, tape));
        for (number, (run, after)) in (0..).zip(tape.runs.iter().zip(&tape.after)) {
            let Some((shape, person_number)) = tape.of(run) else { continue };
            let (Some(person), Some(who)) =
                (tape.person(person_number), numbers.get(as_index(person_number)).copied())
            else {
                continue;
            };
            if run.verdict == Verdict::Fail {
                if run.at_us >= tape.counts_from_us {
                    let tally = &mut counting.tally;
                    tally.statements = tally.statements.saturating_add(1);
                    tally.failed = tally.failed.saturating_add(1);
                }
                continue;
            }
            let sent = self.sending(number, run, after, (shape, person), &numbers);
            if run.at_us < tape.counts_from_us {
                // For what limits had counted before.
                for side in old.iter_mut().chain([&mut new]) {
                    let _uncounted = side.run(run, person_number, &sent, after);
                    (side.covered, side.midway, side.cut) = (0, 0, 0);
                }
                continue;
            }
            let tally = &mut counting.tally;
            tally.statements = tally.statements.saturating_add(1);
            let before = match &mut old {
                Some(old) => old.run(run, person_number, &sent, after),
                None => Some(Passage { action: shape.action, asked: u32::from(after.asked) }),
            };
            let now = new.run(run, person_number, &sent, after);
            // Whoever did anything that day counts, also where nothing was asked.
            counting.before.count(who, run.at_us, before.as_ref().map_or(0, |before| before.asked));
            counting.after.count(who, run.at_us, now.as_ref().map_or(0, |now| now.asked));
            counting.compare(before.as_ref(), now.as_ref());
            let outcome = new.last(run, person_number, &sent);
            counting.details(run, who, (before.as_ref(), now.as_ref()), outcome);
            if let (Some(limited), Outcome::Decided(decided)) = (&now, outcome)
                && limited.action < Action::Deny
                && decided.meters.is_empty()
                && decided.is_of_unknown_size(after)
            {
                counting.tally.of_unknown_size = counting.tally.of_unknown_size.saturating_add(1);
            }
        }
        let (covered, at_limits, cut) = (new.covered, new.midway, new.cut);
        let tally = counting.finish(tape, self.candidate);
        Tally { covered, at_limits, cut, ..tally }
    }
}

/// What a rule was about.
#[derive(Debug, Default)]
pub(crate) struct Use {
    /// Rows that each of its statements delivered.
    pub(crate) delivered: Vec<u64>,
    /// What the statements were estimated at that it asked about and people approved.
    pub(crate) approved_estimates: Vec<u64>,
}

impl Compared<'_> {
    /// Statements that meet less by the candidate than by what it is compared with, and were not approved in fact: a
    /// lesser action, a request less, or what cannot be told any more.
    pub(crate) fn unapproved(&self) -> u64 {
        let Some(against) = self.against else { return 0 };
        let mut old = Side::new(against, self.known, self.tape);
        let mut new = Side::new(self.candidate, self.known, self.tape);
        let (mut count, names) = (0_u64, by_name(self.tape));
        for (place, (run, after)) in (0..).zip(self.tape.runs.iter().zip(&self.tape.after)) {
            let Some((sent, number)) = self.sent(place, run, after, &names) else { continue };
            let before = old.run(run, number, &sent, after);
            let now = new.run(run, number, &sent, after);
            let less = match (&before, &now) {
                (Some(before), Some(now)) => now.action < before.action || now.asked < before.asked,
                (before, None) => before.is_some(),
                // What was decided in fact is known, whatever the other rules would have come to.
                (None, Some(now)) => now.action < sent.shape.action,
            };
            let approved = after.ended == Some(Ended::Approved) || run.passed != Passed::No;
            count = count.saturating_add(u64::from(less && !approved));
        }
        count
    }

    /// What each of the candidate's rules was about.
    pub(crate) fn uses(&self) -> HashMap<String, Use> {
        let mut trial = Trial::new(self.candidate, self.known, self.tape);
        let mut uses: HashMap<String, Use> = HashMap::new();
        for (run, after) in self.tape.runs.iter().zip(&self.tape.after) {
            let Some((sent, number)) = self.sent(0, run, after, &[]) else { continue };
            let outcome = trial.decide((run.shape, sent.shape), (number, sent.person), sent.at);
            let Outcome::Decided(decided) = outcome else { continue };
            for name in &decided.rules {
                if !uses.contains_key(name) {
                    uses.insert(name.clone(), Use::default());
                }
                let Some(of) = uses.get_mut(name) else { continue };
                of.delivered.extend(after.delivered.map(|(rows, _)| rows));
                if after.ended == Some(Ended::Approved) {
                    of.approved_estimates.extend(sent.shape.estimate);
                }
            }
        }
        uses
    }

    /// A run as it is sent through; `None` of one that nobody decided about.
    fn sent<'s>(&'s self, place: u32, run: &Run, after: &After, names: &[u32]) -> Option<(Sent<'s>, u32)> {
        let (shape, number) = self.tape.of(run)?;
        let person = self.tape.person(number)?;
        (run.verdict != Verdict::Fail)
            .then(|| (self.sending(place, run, after, (shape, person), names), number))
    }

    /// The run of that number as it is sent through. `names`: a number for each person's name.
    fn sending<'s>(
        &'s self,
        place: u32,
        run: &Run,
        after: &After,
        (shape, person): (&'s Shape, &'s Person),
        names: &[u32],
    ) -> Sent<'s> {
        let ran = run.verdict == Verdict::Forward || after.began;
        let refused = matches!(after.ended, Some(ended) if ended != Ended::Approved);
        let points = self.tape.reached.get(&place).map_or(&[][..], Vec::as_slice);
        // Whoever hung up while people were asked had another row to come.
        let waited = points.last().is_some_and(|(rows, bytes, _)| after.delivered == Some((*rows, *bytes)));
        Sent {
            shape,
            person,
            session: run.session,
            at: Timestamp::from_micros(run.at_us),
            delivered: after.delivered,
            cut: after.cut || (refused && waited),
            ran,
            refused,
            rerun: run.passed == Passed::Rerun,
            counting: self.counting(place, run, after, names),
            points,
        }
    }

    /// What a run counts on, where anything does.
    fn counting(&self, place: u32, run: &Run, after: &After, names: &[u32]) -> Option<Metering> {
        let rules = self.against.into_iter().chain([self.candidate]);
        rules.filter_map(Ruleset::counts_over).next()?;
        let tape = self.tape;
        let name = |session: u32| {
            let person = tape.sessions.get(as_index(session))?;
            names.get(as_index(*person)).copied()
        };
        let who = name(run.session)?;
        // One that did not run, or has no end: whatever it delivers, it does from here on.
        let begun = run.verdict == Verdict::Forward || after.began;
        let done = if begun { u32::MAX } else { place.saturating_add(1) };
        let to_us = if begun { i64::MAX } else { run.at_us };
        let span = after.span.unwrap_or(Span { begun: place, done, from_us: run.at_us, to_us });
        // What was decided on while it waited, or ran, is counted after it, and may have been delivered before.
        let (from, to) = (as_index(place).saturating_add(1), as_index(span.done).min(tape.runs.len()));
        let mut beside = Between::default();
        let while_it_ran = tape.runs.iter().zip(&tape.after).take(to).skip(from);
        for (number, (other, after)) in while_it_ran.enumerate() {
            if other.session == run.session || name(other.session) != Some(who) {
                continue;
            }
            let ran = other.verdict == Verdict::Forward || after.began;
            beside = match after.delivered {
                Some((rows, bytes)) => beside.and(Between::just(rows, bytes).at_most()),
                None if ran || number >= MOST_BESIDE => beside.and(Between::from(0, 0)),
                None => beside,
            };
        }
        let opened_us = tape.opened.get(&run.session).copied();
        Some(Metering { who, run: place, session: run.session, opened_us, span, beside })
    }
}

/// One set of rules, its approvals, and what it has come to.
struct Side<'t> {
    trial: Trial<'t>,
    desk: Desk,
    meters: Meters,
    covered: u64,
    midway: u64,
    cut: u64,
}

/// What became of a statement.
struct Passage {
    action: Action,
    asked: u32,
}

impl<'t> Side<'t> {
    fn new(rules: &'t Ruleset, known: &'t Known, tape: &'t Tape) -> Self {
        let (trial, meters) = (Trial::new(rules, known, tape), Meters::new(tape.since_us));
        Self { trial, desk: Desk::default(), meters, covered: 0, midway: 0, cut: 0 }
    }

    /// `None`: it cannot be told.
    fn run(&mut self, run: &Run, person: u32, sent: &Sent<'_>, after: &After) -> Option<Passage> {
        let Outcome::Decided(decided) =
            self.trial.decide((run.shape, sent.shape), (person, sent.person), sent.at)
        else {
            return None;
        };
        if after.aborted || decided.action == Action::Deny {
            return Some(Passage { action: decided.action, asked: 0 });
        }
        let asked = self.desk.send(sent, decided, &mut self.meters);
        if asked.open {
            return None;
        }
        self.covered = self.covered.saturating_add(u64::from(asked.covered));
        self.midway = self.midway.saturating_add(u64::from(asked.midway));
        self.cut = self.cut.saturating_add(u64::from(asked.cut));
        Some(Passage { action: decided.action, asked: asked.first.saturating_add(asked.midway) })
    }

    fn last(&mut self, run: &Run, person: u32, sent: &Sent<'_>) -> &Outcome {
        self.trial.decide((run.shape, sent.shape), (person, sent.person), sent.at)
    }
}

impl Counting {
    fn compare(&mut self, before: Option<&Passage>, now: Option<&Passage>) {
        let (from, to) = (before.map(|it| it.action), now.map(|it| it.action));
        let cell = self.matrix.entry((from, to)).or_default();
        *cell = cell.saturating_add(1);
        let tally = &mut self.tally;
        let (Some(from), Some(to)) = (before, now) else {
            tally.undecidable = tally.undecidable.saturating_add(1);
            return;
        };
        tally.decided = tally.decided.saturating_add(1);
        tally.changed = tally.changed.saturating_add(u64::from(from.action != to.action));
        if from.action < Action::StepUp && from.asked == 0 {
            tally.new_prompts = tally.new_prompts.saturating_add(u64::from(to.asked));
        }
        if to.action < Action::StepUp && to.asked == 0 {
            tally.lost_prompts = tally.lost_prompts.saturating_add(u64::from(from.asked));
        }
    }

    fn details(
        &mut self,
        run: &Run,
        who: u32,
        (before, now): (Option<&Passage>, Option<&Passage>),
        outcome: &Outcome,
    ) {
        let decided = match outcome {
            Outcome::Decided(decided) => decided,
            Outcome::Open(gaps) => {
                for gap in gaps {
                    let count = self.gaps.entry(*gap).or_default();
                    *count = count.saturating_add(1);
                }
                return;
            }
        };
        if now.is_none() {
            let count = self.gaps.entry(Gap::Delivered).or_default();
            *count = count.saturating_add(1);
        }
        let asked = now.map_or(0, |now| now.asked);
        for name in &decided.rules {
            if !self.rules.contains_key(name) {
                let count = RuleCount { rule: name.clone(), ..RuleCount::default() };
                self.rules.insert(name.clone(), (count, BTreeSet::new()));
            }
            let Some((count, people)) = self.rules.get_mut(name) else { continue };
            count.matched = count.matched.saturating_add(1);
            count.prompts = count.prompts.saturating_add(u64::from(asked));
            count.denied = count.denied.saturating_add(u64::from(decided.action == Action::Deny));
            if asked > 0 {
                people.insert(who);
            }
        }
        let was_denied = before.is_some_and(|before| before.action == Action::Deny);
        if decided.action == Action::Deny && !was_denied {
            self.tally.denied = self.tally.denied.saturating_add(1);
            let entry =
                self.denied.entry(run.shape).or_insert_with(|| (decided.rules.clone(), 0, BTreeSet::new()));
            entry.1 = entry.1.saturating_add(1);
            entry.2.insert(who);
        }
    }

    fn finish(self, tape: &Tape, candidate: &Ruleset) -> Tally {
        let mut names: HashMap<u32, String> = HashMap::new();
        for (number, person) in by_name(tape).into_iter().zip(&tape.persons) {
            names.entry(number).or_insert_with(|| shown(person));
        }
        let name = |number: u32| names.get(&number).cloned();
        let budget = candidate.budget().map(|budget| budget.prompts_per_person_per_day);
        let reasons = self.gaps.into_iter().map(|(gap, statements)| Reason {
            reason: gap.as_str(),
            meaning: gap.meaning(),
            statements,
        });
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort_by(|a, b| b.statements.cmp(&a.statements).then(a.reason.cmp(b.reason)));
        let matrix =
            self.matrix.into_iter().map(|((from, to), statements)| Cell { from, to, statements }).collect();
        let rules = self.rules.into_values().map(|(count, people)| RuleCount {
            people: u64::try_from(people.len()).unwrap_or(u64::MAX),
            ..count
        });
        let mut rules: Vec<_> = rules.collect();
        rules.sort_by(|a, b| {
            (b.prompts, b.denied, b.matched).cmp(&(a.prompts, a.denied, a.matched)).then(a.rule.cmp(&b.rule))
        });
        let mut denied: Vec<_> = self.denied.into_iter().collect();
        denied.sort_by_key(|(shape, (_, statements, _))| (std::cmp::Reverse(*statements), *shape));
        let denied_examples =
            denied.into_iter().take(MOST_EXAMPLES).filter_map(|(shape, (rules, statements, who))| {
                let shape = tape.shapes.get(as_index(shape))?;
                let labels: BTreeSet<_> =
                    shape.columns.iter().map(|it| it.label.clone()).filter(|it| !it.is_empty()).collect();
                Some(Example {
                    database: shape.database.clone(),
                    kinds: shape.kinds.iter().map(ToString::to_string).collect(),
                    relations: shape.relations.clone(),
                    labels: labels.into_iter().collect(),
                    rules,
                    statements,
                    people: u64::try_from(who.len()).unwrap_or(u64::MAX),
                })
            });
        let (before, after) = (self.before.by_day(), self.after.by_day());
        let days = after.iter().map(|(day, after)| Day {
            day: date(*day),
            before: before.get(day).copied().unwrap_or(0),
            after: *after,
        });
        Tally {
            reasons,
            matrix,
            rules,
            denied_examples: denied_examples.collect(),
            before: self.before.spread(budget, name),
            after: self.after.spread(budget, name),
            days: days.collect(),
            ..self.tally
        }
    }
}

/// A number for each of the tape's persons that is the same for the same name.
fn by_name(tape: &Tape) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut all = Vec::with_capacity(tape.persons.len());
    for person in &tape.persons {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        all.push(*numbers.entry(person.key.as_str()).or_insert(next));
    }
    all
}

fn as_index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn shown(person: &Person) -> String {
    if person.known { person.key.clone() } else { format!("(erased) {:.8}", person.key) }
}

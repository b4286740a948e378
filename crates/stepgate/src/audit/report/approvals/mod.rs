//! Who asked, who was shown what, who answered, and what was done with it; and what else takes a second person: policies,
//! resets of factors, and the review of broken glass.

mod glass;
mod others;
mod requests;
mod runs;

use stepgate_record::Filter;

use super::make::{MOST_ROWS, Made, Making};
use super::{Head, Report, Section};
use crate::failure::Failure;

/// Ids that are looked up at once.
const AT_ONCE: usize = 100;

pub(super) fn make(making: &Making<'_>) -> Result<Made, Failure> {
    let mut requests = requests::of(making)?;
    let policies = others::policies(making)?;
    let resets = others::resets(making)?;
    let (glasses, of_glasses) = glass::of(making)?;
    let mut kinds = vec![requests::ASKED, others::ADMIN, glass::OPENED];
    kinds.extend_from_slice(others::POLICIES);
    let asked = Filter { kind: texts(&kinds), ..making.period() };
    let rows = |section: &Section| u64::try_from(section.rows.len()).unwrap_or(u64::MAX);
    let records = requests.records + rows(&policies) + rows(&resets) + of_glasses;
    let mut notes = requests.notes();
    let mut sections = requests.sections();
    sections.extend([policies, resets, glasses]);
    let full = sections.iter().filter(|section| section.rows.len() >= MOST_ROWS);
    notes.extend(full.map(|section| {
        format!("Only the first {MOST_ROWS} rows of {:?} are listed: narrow the period down.", section.title)
    }));
    let head = Head { title: "Approvals".to_owned(), facts: Vec::new(), notes };
    Ok(Made {
        filter: asked.for_record(),
        shown_filter: "what was asked for, approved, reset, and broken through in the period".to_owned(),
        records,
        body: Report { head, sections },
    })
}

fn texts(kinds: &[&str]) -> Vec<String> {
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

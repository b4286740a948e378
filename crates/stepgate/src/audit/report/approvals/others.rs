//! Policies that two people approve, and resets of factors that two people make.

use serde_json::json;
use stepgate_record::Filter;

use super::texts;
use crate::audit::report::Section;
use crate::audit::report::make::{MOST_ROWS, Making, text};
use crate::failure::Failure;

/// What becomes of a policy that two people approve.
pub(super) const POLICIES: &[&str] =
    &["policy.proposed", "policy.voted", "policy.approved", "policy.tampered", "policy.released"];

/// Among what is done to accounts, resets.
pub(super) const ADMIN: &str = "admin.action";

/// How a reset begins, and how it is confirmed.
const RESETS: [&str; 2] = ["factor.reset_asked", "factor.reset"];

/// Who approved which policy.
pub(super) fn policies(making: &Making<'_>) -> Result<Section, Failure> {
    let columns = ["at", "what", "person", "strength", "policy_sha256"];
    let mut section = Section::new("policies", "Policies that two people approve", &columns);
    let filter = Filter { kind: texts(POLICIES), ..making.period() };
    making.each_until(&filter, making.in_order(), &mut |record, fields| {
        let what = text(fields, "type").trim_start_matches("policy.");
        section.rows.push(vec![
            json!(record.at.to_string()),
            json!(what),
            json!(text(fields, "person")),
            json!(text(fields, "strength")),
            json!(text(fields, "policy_sha256")),
        ]);
        section.rows.len() < MOST_ROWS
    })?;
    Ok(section)
}

/// Whose factors were reset, who asked for it, and who confirmed it.
pub(super) fn resets(making: &Making<'_>) -> Result<Section, Failure> {
    let columns = ["at", "what", "person", "by", "operator"];
    let mut section = Section::new("factor_resets", "Factors that were reset, by two people", &columns);
    let filter = Filter { kind: texts(&[ADMIN]), ..making.period() };
    making.each_until(&filter, making.in_order(), &mut |record, fields| {
        let action = text(fields, "action");
        if RESETS.contains(&action) {
            let what = if action == "factor.reset" { "confirmed, and reset" } else { "asked for" };
            section.rows.push(vec![
                json!(record.at.to_string()),
                json!(what),
                json!(text(fields, "person")),
                json!(text(fields, "by")),
                json!(text(fields, "operator")),
            ]);
        }
        section.rows.len() < MOST_ROWS
    })?;
    Ok(section)
}

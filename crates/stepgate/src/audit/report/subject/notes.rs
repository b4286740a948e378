//! What whoever reads a report of a subject must know.

use std::collections::BTreeSet;

use super::{Id, Reads};

impl Reads {
    /// What its words mean, since when there is anything to be certain of, and how the key was looked for, and where.
    pub(super) fn notes(&self, tracked_since: Option<&str>) -> Vec<String> {
        let mut notes = vec![
            "Certain is a statement whose result showed the subject's key, or one that named it in a condition and of \
             which it is known exactly what it reads. Possible is every other statement that reached the relation and \
             of which not all keys were seen: aggregates, exports, more than 1,000 keys, views, statements that are \
             not fully understood. What is in neither list showed keys, and not this one."
                .to_owned(),
            match tracked_since {
                Some(at) => {
                    format!("Keys have been recorded since {at}; before that, everything is only possible.")
                }
                None => "No key was ever recorded: audit.track_subjects is off, or the map names no subject_key. \
                         Everything is only possible."
                    .to_owned(),
            },
        ];
        notes.extend(self.of_spellings());
        notes.extend(self.of_databases());
        notes
    }

    fn of_spellings(&self) -> Option<String> {
        let spellings: Vec<String> = self.spelt.iter().map(|spelt| format!("{:?}", spelt.key)).collect();
        let spellings = spellings.join(" and ");
        let hit = |id: &Id| self.seen.get(id).is_some_and(|seen| seen.hit().is_some());
        if !self.ran.keys().chain(self.refused.keys()).any(hit) {
            return Some(format!(
                "No record of this period names or shows this key, which was looked for as {spellings}. A key is found \
                 as the server shows it; a text, or a date, only exactly as it is shown there."
            ));
        }
        (self.spelt.len() > 1).then(|| {
            format!(
                "The key was looked for as {spellings}. Where it was found in another spelling than the one that was \
                 asked for, that is said; of a column of texts that is another key."
            )
        })
    }

    fn of_databases(&self) -> Option<String> {
        let databases: BTreeSet<&str> = self.ran.values().map(|ran| ran.database.as_str()).collect();
        (databases.len() > 1).then(|| {
            let names: Vec<&str> = databases.into_iter().collect();
            format!(
                "Relations of this name were reached in {}. The same key may be somebody else's in each: --database \
                 takes one alone.",
                names.join(" and ")
            )
        })
    }
}

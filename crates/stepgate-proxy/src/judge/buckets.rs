//! On which side of the map's thresholds a statement asks, for its record.

use stepgate_record::Bucket;

use super::Case;

impl Case<'_> {
    /// Of columns that the map has thresholds of; the values are looked up for this, and kept nowhere.
    pub(super) fn buckets(&self) -> Vec<Bucket> {
        let (facts, values) = (&self.pending.facts, self.pending.compared());
        let all = self.view.rules.buckets(&self.who.database, facts, &values);
        let all = all.into_iter().map(|it| Bucket {
            column: it.column.to_string(),
            op: it.op.as_str().to_owned(),
            bucket: it.bucket,
        });
        all.collect()
    }
}

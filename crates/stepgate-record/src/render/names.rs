//! Stands in until commitments are here.

/// A commitment.
pub enum Commit {}

/// Opens commitments; whoever cannot (offline, redacted) shows them as they are.
pub trait Names {
    /// What a commitment stands for, if that can be told.
    fn name(&self, commit: &Commit) -> Option<String>;
}

/// Opens nothing.
impl Names for () {
    fn name(&self, _: &Commit) -> Option<String> {
        None
    }
}

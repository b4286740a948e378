use crate::Decision;

impl Decision {
    /// One line for people, ASCII: what the statement reads, of which class, about how many rows, by
    /// which rule. Names of the catalog, the map and the policy only.
    #[must_use]
    pub fn summary(&self) -> String {
        String::new()
    }
}

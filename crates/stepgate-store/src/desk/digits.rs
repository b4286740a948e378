//! The six digits of a signed push, for the terminal in which its requester waits (NIST SP 800-63B-4 section 3.1.3: a
//! secret goes from where somebody waits, by their own hands, into the device that they have).
//!
//! They are of a challenge like any other, begun on behalf of whoever waits: they are not in what a device is sent, nor in
//! any record. Whoever waits by a stolen password sees digits and has no device; whoever has the device sees none.

use std::net::IpAddr;

use serde_json::Value;
use stepgate_approval::{Method, Source};
use stepgate_types::{PersonName, RequestId};
use zeroize::Zeroizing;

use super::Desk;
use super::inner::Inner;
use super::state::Entry;

impl Inner {
    async fn digits(
        &self,
        request: RequestId,
        person: &PersonName,
        source: Source,
    ) -> Option<Zeroizing<String>> {
        // Most people have no such device; nobody else's turn is taken for them.
        if self.factors.of(person, Method::Push).is_empty() {
            return None;
        }
        // Who approves what somebody else asks reads all of it, and begins it where they do.
        let own = |entry: &Entry| entry.open.ask().terms.itself;
        if !self.state().entry(request).is_ok_and(own) {
            return None;
        }
        let begun = self.challenge(request, person, Method::Push, true, source).await.ok()?;
        begun.shown.get("code").and_then(Value::as_str).map(|code| Zeroizing::new(code.to_owned()))
    }
}

impl Desk {
    /// Begins a push of a person who waits for their own request at that address; what they type into their device.
    /// `None`: they have no device that would do, or it cannot be begun now. There are other ways, and no harm is done.
    pub async fn digits(
        &self,
        request: RequestId,
        person: &PersonName,
        address: IpAddr,
    ) -> Option<Zeroizing<String>> {
        self.0.digits(request, person, address.into()).await
    }
}

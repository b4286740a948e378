//! Passkeys and security keys (W3C Web Authentication, level 3) as a factor: enrolment and answers, both over a
//! challenge that is handed in, so that a signature over it is a signature over the request.
//!
//! `webauthn-rs-core` verifies; nothing outside this crate sees it. Of the library only what verifies is called: never
//! what draws challenges, and nothing whose result hangs on the clock. So nothing here reads a clock, a file or a random
//! number. It is a crate of its own because the library's tree could do all that, and that of `stepgate-approval` must
//! not. What the library leaves to its caller is checked here:
//!
//! | attack | defeated by |
//! |---|---|
//! | approve A, run B; approve with a signature under a denial | the challenge is [`stepgate_approval::Bound::binding`]: a hash over a nonce, the canonical request, the decision and the person |
//! | the page of another host, or a frame in it | origin compared as text, `crossOrigin` and `topOrigin` refused, also for answers (the library looks at enrolments only) |
//! | another person's passkey | the answer's credential must be one of that person's, and its user handle theirs |
//! | no PIN, no finger | the flag that says "user verified", signed by the authenticator, is required in both ceremonies |
//! | a copied key | a counter that does not rise, and a changed "backup eligible", are refused |
//! | a signature used twice | the desk takes one right answer to a challenge, and writes the counter in the append of what it decides |
//! | huge, deep or garbled input | sizes are bounded before anything is decoded; CBOR is walked once with a bound on depth, and leftovers are errors |
//! | "hardware" made of software | `device-bound` only with an attestation that chains to a root the operator named, and "backup eligible" unset |

mod answer;
mod assertion;
mod authdata;
mod cbor;
mod client;
mod enrolment;
mod factor;
mod passkey;
mod rejected;
mod roots;
mod site;
#[cfg(test)]
mod tests;
mod transports;

pub use assertion::Assertion;
pub use enrolment::Enrolment;
pub use factor::PasskeyFactor;
pub use passkey::{Attestation, Passkey, UserHandle};
pub use rejected::Rejected;
pub use roots::{BadRoots, Roots};
pub use site::{BadSite, Site};

/// Passkeys and security keys of one person. Nobody has more, and each is in every request's list.
pub const MAX_PASSKEYS: usize = 20;

/// How long a browser may take for a ceremony: the recommended range begins at five minutes
/// (Web Authentication level 3, section 15.1).
const TIME: std::time::Duration = std::time::Duration::from_secs(300);

/// [`TIME`] as options say it, in milliseconds.
const TIME_MS: u32 = 300_000;

/// Bytes of a credential's id. The standard allows 1,023 (Web Authentication level 3, section 4); those that are known
/// have less than 300, and what is stored of one must fit into the store's 4 KiB.
const MAX_ID: usize = 512;

/// What is signed: see [`stepgate_approval::Bound::binding`].
type Binding = [u8; 32];

/// The verifier for this site.
fn verifier(site: &Site) -> Result<webauthn_rs_core::WebauthnCore, Rejected> {
    let origin = site.origin().parse().map_err(|_| Rejected::OtherOrigin)?;
    let (subdomains, any_port) = (Some(false), Some(false));
    Ok(webauthn_rs_core::WebauthnCore::new_unsafe_experts_only(
        site::NAME,
        site.id(),
        vec![origin],
        TIME,
        subdomains,
        any_port,
    ))
}

//! `stepgate login --device`: somebody logs in in a browser on another machine, by a code that is typed there (RFC 8628).
//! The gate speaks to the identity provider; this program asks the gate, with what it alone knows, whether that was done.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::Api;
use super::loopback::fresh;
use crate::failure::{Failure, Status};
use crate::harmless::harmless;
use crate::output;

/// The longest that somebody has for it, whatever the gate says.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Between two questions, at least and at most; the gate says how long.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);

/// How often in a row the gate may not answer before this gives up.
const MAX_SILENT: u32 = 5;

/// Logs in; what the gate answers in the end.
pub(super) fn log_in(api: &Api) -> Result<Value, Failure> {
    let verifier = fresh().map_err(|error| Failure::usage(format!("no randomness: {error}")))?;
    let challenge = data_encoding::HEXLOWER.encode(&Sha256::digest(verifier.as_bytes()));
    let begun = api.post("/api/v1/login/device", &json!({"challenge": challenge}))?;
    let text = |key: &str| begun.get(key).and_then(Value::as_str);
    let (Some(device), Some(code), Some(address)) =
        (text("device"), text("user_code"), text("verification_uri"))
    else {
        return Err(Failure::unreachable("the gate is of another version"));
    };
    output::print_line("Open this in a browser, on any machine, and log in:")?;
    output::print_line(&format!("  {}", harmless(address)))?;
    output::print_line(&format!("The code to type there: {}", harmless(code)))?;
    output::print_line("It is for this terminal alone: nobody will ever ask you for it, nor send you one.")?;
    let started = Instant::now();
    let mut interval = interval_of(&begun, SOONEST);
    let mut silent = 0;
    while started.elapsed() < PATIENCE {
        std::thread::sleep(interval);
        let asked = api.post("/api/v1/login/device/token", &json!({"device": device, "verifier": *verifier}));
        match asked {
            Ok(answer) if answer.get("state").and_then(Value::as_str) == Some("pending") => {
                (silent, interval) = (0, interval_of(&answer, interval));
            }
            Ok(answer) => return Ok(answer),
            // Away for a moment: asked again, less and less often (section 3.5).
            Err(failure) if failure.status == Status::Unreachable && silent < MAX_SILENT => {
                (silent, interval) = (silent + 1, interval.saturating_mul(2).min(LATEST));
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::no("nobody has logged in in time"))
}

fn interval_of(answer: &Value, known: Duration) -> Duration {
    let said = answer.get("interval").and_then(Value::as_u64).map_or(known, Duration::from_secs);
    said.clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_gate_says_it_is_asked_neither_at_once_nor_never() {
        let said = |interval: Value| interval_of(&json!({"interval": interval}), Duration::from_secs(7));
        assert_eq!(said(json!(5)), Duration::from_secs(5));
        assert_eq!(said(json!(0)), SOONEST);
        assert_eq!(said(json!(u64::MAX)), LATEST);
        assert_eq!(said(json!("soon")), Duration::from_secs(7));
    }
}

//! `stepgate enroll`, as clap reads it.

use clap::{Args, Subcommand};
use stepgate_types::PersonName;

use super::{EnrollDevice, LineFormat};

#[derive(Debug, Subcommand)]
pub(crate) enum EnrollCommand {
    /// Enrol a TOTP authenticator
    #[command(
        after_help = "Examples:\n  stepgate enroll totp --as dana\n  stepgate enroll totp --as dana -o json    (prints the otpauth URI, then waits for a code)\n\nWithout a configuration here it speaks to the gate you have logged in to, and asks for the enrolment code that the\noperator has made (stepgate user enroll-code NAME), or for a code of an authenticator that you have."
    )]
    Totp {
        /// Whose authenticator.
        #[arg(long = "as", value_name = "NAME")]
        person: PersonName,
        /// A QR code for reading, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: LineFormat,
        /// Replace an authenticator that is enrolled already, by a code of it, which is asked for first.
        #[arg(long)]
        replace: bool,
    },
    /// Enrol an address for codes by e-mail, where the gate sends any
    #[command(
        after_help = "Example:\n  stepgate enroll email dana@corp.example --as dana\n\nAsks for a code of an authenticator that you have, or the operator's enrolment code; then for the code that was sent."
    )]
    Email(EnrollAddress),
    /// Enrol a telephone number for codes by SMS, where the gate sends any
    #[command(after_help = "Example:\n  stepgate enroll sms +14155550123 --as dana")]
    Sms(EnrollAddress),
    /// Say where a passkey or security key is enrolled: in a browser
    #[command(after_help = "Example:\n  stepgate enroll passkey --as dana")]
    Passkey {
        /// Whose.
        #[arg(long = "as", value_name = "NAME")]
        person: PersonName,
    },
    /// Enrol this device, to sign answers by: as `stepgate device enroll`
    #[command(after_help = "Example:\n  stepgate enroll device --as dana --name laptop")]
    Device(EnrollDevice),
    /// Print recovery codes: each is good once, when nothing else is at hand
    #[command(
        after_help = "Examples:\n  stepgate enroll recovery --as dana\n  stepgate enroll recovery --as dana -o json\n\nThey are shown once. A new list ends the one before. Asks for a code of an authenticator that is enrolled."
    )]
    Recovery {
        /// Whose.
        #[arg(long = "as", value_name = "NAME")]
        person: PersonName,
        /// Lines for printing, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: LineFormat,
    },
}

/// To where codes are sent.
#[derive(Debug, Args)]
pub(crate) struct EnrollAddress {
    /// The address, or the number with + and country.
    pub(crate) address: String,
    /// Whose.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) person: PersonName,
}

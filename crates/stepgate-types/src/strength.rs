use serde::{Deserialize, Serialize};

/// How much a factor proves, weakest first (after NIST SP 800-63B-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// E-mail or SMS code.
    Weak,
    /// TOTP.
    Standard,
    /// Signed push with a typed code.
    Strong,
    /// A passkey or security key, with user verification.
    PhishingResistant,
    /// A key that cannot leave its device, attested.
    DeviceBound,
}

impl Strength {
    /// The word used in files and records, for example `phishing-resistant`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Standard => "standard",
            Self::Strong => "strong",
            Self::PhishingResistant => "phishing-resistant",
            Self::DeviceBound => "device-bound",
        }
    }
}

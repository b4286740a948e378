//! Where a browser may find an authenticator.

/// Those that the standard knows (Web Authentication level 3, section 5.8.4), each a bit. A hint for browsers: nothing
/// is proven by it.
const WORDS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

/// Some of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Transports(u8);

impl Transports {
    /// Those that are known of these.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let bit = |word: &str| WORDS.iter().position(|known| *known == word).map_or(0, |at| 1 << at);
        Self(words.fold(0, |bits, word| bits | bit(word)))
    }

    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        (bits < 1 << WORDS.len()).then_some(Self(bits))
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn words(self) -> Vec<&'static str> {
        let has = |at: usize| self.0 >> at & 1 == 1;
        WORDS.iter().enumerate().filter(|(at, _)| has(*at)).map(|(_, word)| *word).collect()
    }
}

//! Marks, what they may turn into on their way, and where they were found.

/// In texts and names of statements.
pub(crate) const MARK: &str = "zqxmark7";

/// As a number in them, that no sequence number, size or time is.
pub(crate) const NUMBER: &str = "7770001239";

/// As a number that is a parameter's: those end at 2^31. It is the beginning of [`NUMBER`], too.
pub(crate) const SHORT: &str = "777000123";

/// As an operator, that nobody has made.
pub(crate) const OPERATOR: &str = "#%@%#@#%@";

/// In rows that are there beforehand, and in what the server says of them.
pub(crate) const ROW: &str = "wvkrow5x";

/// Whom such a row is about.
pub(crate) const KEY: &str = "6660004813";

/// What those who are not known call themselves, and say.
pub(crate) const STRANGER: &str = "qjvwho9k";

/// What a client calls itself, and people give for a reason: commitments, which those who may read the log see opened.
pub(crate) const SAID: &str = "jxqsays3";

/// All of them.
pub(crate) const ALL: [&str; 8] = [MARK, NUMBER, SHORT, OPERATOR, ROW, KEY, STRANGER, SAID];

/// Those that nobody gets to see, whatever they may read.
pub(crate) const NOBODYS: [&str; 7] = [MARK, NUMBER, SHORT, OPERATOR, ROW, KEY, STRANGER];

/// What a mark may turn into on its way: texts, whatever stands around them.
fn texts(mark: &str) -> Vec<(&'static str, String)> {
    let hex: String = mark.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = vec![
        ("itself", mark.to_owned()),
        ("capitals", mark.to_uppercase()),
        ("hexadecimal capitals", hex.to_uppercase()),
        ("hexadecimal", hex),
        ("reversed", mark.chars().rev().collect()),
        // Whichever byte comes first, these are in a row.
        ("UTF-16", mark.chars().map(String::from).collect::<Vec<_>>().join("\0")),
    ];
    found.extend((0..3).map(|shift| ("base64", base64_core(mark.as_bytes(), shift))));
    found.dedup_by(|one, other| one.1 == other.1);
    found
}

/// The letters of base64 that depend on these bytes alone, where they stand behind `shift` others.
fn base64_core(bytes: &[u8], shift: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = std::iter::repeat_n(0, shift)
        .chain(bytes.iter().copied())
        .flat_map(|byte: u8| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let sixes = bits.chunks_exact(6).skip((shift * 8).div_ceil(6));
    let value = |six: &[u8]| six.iter().fold(0_usize, |value, bit| value << 1 | usize::from(*bit));
    sixes.map(|six| char::from(LETTERS[value(six)])).collect()
}

/// Where one of these marks is in there, and as what.
pub(crate) fn disguised(bytes: &[u8], marks: &[&str]) -> Option<String> {
    // What is no UTF-8 becomes a sign of its own, and takes nothing of what is ASCII with it.
    let text = String::from_utf8_lossy(bytes);
    // Letters break lines, and say so by an equals sign.
    let joined = text.replace("=\r\n", "").replace("\r\n", "");
    for mark in marks {
        for (disguise, needle) in texts(mark) {
            for text in [&*text, &joined] {
                if let Some(at) = text.find(&needle) {
                    let begin = text.floor_char_boundary(at.saturating_sub(300));
                    let end = text.ceil_char_boundary(at + 100);
                    return Some(format!("{mark} as {disguise}: …{}…", text.get(begin..end).unwrap()));
                }
            }
        }
        let Ok(number) = mark.parse::<i64>() else { continue };
        for binary in [number.to_be_bytes(), number.to_le_bytes()] {
            if bytes.windows(8).any(|window| window == binary) {
                return Some(format!("{mark} as eight bytes"));
            }
        }
    }
    None
}

/// What was found, and in how many places was looked.
#[derive(Default)]
pub(crate) struct Leaks {
    found: Vec<String>,
    looked: usize,
}

impl Leaks {
    /// Hunts for all marks.
    pub(crate) fn hunt(&mut self, place: &str, bytes: impl AsRef<[u8]>) {
        self.hunt_for(&ALL, place, bytes);
    }

    /// Hunts where what people say of themselves may be read.
    pub(crate) fn hunt_open(&mut self, place: &str, bytes: impl AsRef<[u8]>) {
        self.hunt_for(&NOBODYS, place, bytes);
    }

    /// Hunts for these.
    pub(crate) fn hunt_for(&mut self, marks: &[&str], place: &str, bytes: impl AsRef<[u8]>) {
        self.looked += 1;
        assert!(!bytes.as_ref().is_empty(), "{place} is empty");
        self.found.extend(disguised(bytes.as_ref(), marks).map(|found| format!("{place}: {found}")));
    }

    /// Fails where anything was found.
    pub(crate) fn none(self) {
        assert!(self.found.is_empty(), "{}", self.found.join("\n\n"));
        assert!(self.looked > 150, "looked in {} places only", self.looked);
        println!("looked in {} places", self.looked);
    }
}

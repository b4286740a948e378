//! The outcome of cases as JUnit XML, as continuous integration reads it
//! (<https://github.com/testmoapp/junitxml>, which describes what its readers agree on).

use std::fmt::Write as _;

use super::test::{Tried, explained};

/// The report: one suite for each file.
pub(super) fn report(tried: &[Tried]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failed = |all: &[&Tried]| all.iter().filter(|one| !one.complaints().is_empty()).count();
    let seconds = |all: &[&Tried]| all.iter().map(|one| one.took.as_secs_f64()).sum::<f64>();
    let all: Vec<&Tried> = tried.iter().collect();
    let count = |all: &[&Tried]| {
        format!("tests=\"{}\" failures=\"{}\" time=\"{:.6}\"", all.len(), failed(all), seconds(all))
    };
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "<testsuites {}>", count(&all));
    for suite in all.chunk_by(|one, next| file(one) == file(next)) {
        let name = suite.first().map(|one| file(one)).unwrap_or_default();
        let _ = writeln!(xml, "  <testsuite name=\"{}\" {}>", escaped(name), count(suite));
        for one in suite {
            let _ = write!(
                xml,
                "    <testcase name=\"{}\" classname=\"{}\" time=\"{:.6}\"",
                escaped(&one.name),
                escaped(&one.at),
                one.took.as_secs_f64()
            );
            let complaints = one.complaints();
            if complaints.is_empty() {
                xml.push_str("/>\n");
            } else {
                let message = escaped(&complaints.join("; "));
                let text = escaped(&explained(one));
                let _ = writeln!(
                    xml,
                    ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>"
                );
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Its place without the line.
fn file(one: &Tried) -> &str {
    one.at.rsplit_once(':').map_or(one.at.as_str(), |(file, _)| file)
}

/// Text as XML 1.0 has it, section 2.2: what it cannot hold, even escaped, is shown as the replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => {
                let _ = write!(out, "&#{};", u32::from(letter));
            }
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => out.push(letter),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_gets_out_of_its_attribute() {
        assert_eq!(escaped("a\"b<c>&d\n"), "a&quot;b&lt;c&gt;&amp;d&#10;");
        assert_eq!(escaped("\u{0}\u{1b}[2J\u{ffff}"), "\u{fffd}\u{fffd}[2J\u{fffd}");
    }
}

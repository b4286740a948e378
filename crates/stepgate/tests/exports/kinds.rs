//! Every kind of record in the tools that people have: no gate that is tested makes all of them.

#[path = "../../../stepgate-record/tests/events/mod.rs"]
#[allow(dead_code, clippy::expect_used, clippy::indexing_slicing, reason = "each test file uses its part")]
mod events;
#[path = "../../../stepgate-record/tests/bundle/gate.rs"]
#[allow(dead_code, clippy::indexing_slicing, reason = "each test file uses its part")]
mod gate;

use stepgate_record::Filter;
use stepgate_record::bundle::{Format, TarWriter};

use crate::{opened, verify};

/// Texts that are hard to quote, and the largest number.
const HARD: [(&str, &str); 6] = [
    ("\"app\"", r#""a=\"b\",\n\t'c'|d\\ 🦀""#),
    ("\"psql\"", r#""=psql\n\"x\" y=z""#),
    ("use the extract", r#"\"why\"\n k=v, 🦀 | \\"#),
    ("SELECT ssn FROM", r#"SELECT \"s=n\", 'x',\nFROM \"🦀\", "#),
    ("\"public.customers\"", r#""public.\"=a, b\n🦀\"""#),
    ("\"rows\":12", "\"rows\":9007199254740993"),
];

/// One of each kind, as it is and with such in it: no gate makes all of them.
#[test]
fn every_kind_of_record_opens_in_the_tools_that_people_have_whatever_its_texts_and_numbers() {
    let mut gate = gate::Gate::new(1, 7);
    let texts = events::texts();
    let hard =
        texts.iter().map(|text| HARD.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to)));
    let hard: Vec<_> = hard.zip(&texts).filter(|(hard, text)| hard != *text).map(|(hard, _)| hard).collect();
    HARD.iter().for_each(|(_, to)| assert!(hard.iter().any(|text| text.contains(to)), "{to}"));
    for text in texts.iter().chain(&hard) {
        gate.append(&serde_json::from_str(text).unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let bundles = Format::ALL.map(|format| {
        let path = dir.path().join(format!("{}.tar", format.as_str()));
        let mut tar = TarWriter::new(std::fs::File::create(&path).unwrap());
        for (name, file) in gate.bundle(&Filter::default(), format, false, true).0 {
            tar.file(&name, file.len() as u64, &mut &file[..]).unwrap();
        }
        tar.finish().unwrap();
        let (ok, said) = verify(&path, &[]);
        assert!(ok, "{said}");
        path
    });
    opened(&bundles);
}

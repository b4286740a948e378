//! The gate's own question to the server: what do unqualified names mean in this session now, which prepared
//! statements did SQL make, which snapshots do its transactions see, and as whom do its statements run?
//!
//! Asked only while the server owes nothing else, in a transaction or outside, with names that no search_path can
//! hijack, and by messages that leave the client's unnamed statement and portal as they are.

use std::time::Duration;

use bytes::Bytes;
use stepgate_sql::{RunsAs, is_purpose};
use stepgate_wire::read::DataRow;

/// The most prepared statements that SQL may have made.
const MAX_MADE: usize = 128;

/// One row of three texts: the effective search path as a JSON array, in order, implicit schemas included (PostgreSQL
/// documentation, "System Information Functions", `current_schemas`); the names of statements that PREPARE made, of
/// at most [`MAX_MADE`] and one; and settings: the isolation levels of transactions to come and of this one, with
/// `transaction_timeout`, which servers before PostgreSQL 17 do not have, `stepgate.purpose`, which is there where the
/// client has set it, and whose session it is and as whom it acts.
pub(crate) const SQL: &str = "select pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, \
     pg_catalog.array_to_json(array(select name from pg_catalog.pg_prepared_statement() where from_sql limit '129'))\
     ::pg_catalog.text, \
     pg_catalog.array_to_json(array[pg_catalog.current_setting('default_transaction_isolation'), \
     pg_catalog.current_setting('transaction_isolation'), \
     pg_catalog.current_setting('transaction_timeout', true), \
     pg_catalog.current_setting('stepgate.purpose', true), \
     session_user::pg_catalog.text, current_user::pg_catalog.text])::pg_catalog.text";

/// The longest answer that is believed, in bytes.
const MAX_ANSWER: usize = 128 << 10;

/// What was learnt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The effective search path.
    pub(crate) search_path: Vec<String>,
    /// The prepared statements that SQL made, unless there are too many to tell.
    pub(crate) made_by_sql: Option<Vec<String>>,
    /// Of transactions to come, and of the one that is open.
    pub(crate) isolation: [String; 2],
    /// How long the server lets a transaction go on, whatever it does.
    pub(crate) transaction_timeout: Option<Duration>,
    /// What the client says it wants the data for, if in a plain word.
    pub(crate) purpose: Option<String>,
    /// As whom statements run.
    pub(crate) runs_as: RunsAs,
}

/// Collects the answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    row: Vec<u8>,
    overflow: bool,
}

impl Answer {
    /// Takes a piece of the DataRow.
    pub(crate) fn row_part(&mut self, part: &Bytes) {
        if self.row.len().saturating_add(part.len()) > MAX_ANSWER {
            self.overflow = true;
        } else {
            self.row.extend_from_slice(part);
        }
    }

    /// What the server says; `None` if the answer cannot be read.
    pub(crate) fn names(&mut self) -> Option<Names> {
        let row = std::mem::take(&mut self.row);
        if std::mem::take(&mut self.overflow) {
            return None;
        }
        let DataRow { values } = DataRow::read(&row).ok()?;
        let [Some(search_path), Some(made), Some(isolation)] = *values.as_slice() else { return None };
        let made: Vec<String> = serde_json::from_slice(made).ok()?;
        let made_by_sql = (made.len() <= MAX_MADE).then_some(made);
        let settings: Vec<Option<String>> = serde_json::from_slice(isolation).ok()?;
        let mut settings = settings.into_iter();
        Some(Names {
            search_path: serde_json::from_slice(search_path).ok()?,
            made_by_sql,
            isolation: [settings.next()??, settings.next()??],
            transaction_timeout: settings.next().flatten().as_deref().and_then(duration),
            purpose: settings.next().flatten().filter(|it| is_purpose(it)),
            runs_as: match (settings.next().flatten(), settings.next().flatten()) {
                (Some(session), Some(current)) => RunsAs::Told { session, current },
                _ => RunsAs::Unsure,
            },
        })
    }
}

/// A duration as the server shows it: in the largest unit that divides it (`convert_int_from_base_unit` of guc.c).
/// `None`: 0, which is none, or what is not understood.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(each)?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> Option<Names> {
        let mut answer = Answer::default();
        answer.row_part(&Bytes::copy_from_slice(bytes));
        answer.names()
    }

    fn row(texts: &[&str]) -> Vec<u8> {
        let mut body = u16::try_from(texts.len()).unwrap().to_be_bytes().to_vec();
        for text in texts {
            body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            body.extend(text.as_bytes());
        }
        let length = u32::try_from(body.len() + 4).unwrap();
        [&b"D"[..], &length.to_be_bytes(), &body].concat()
    }

    #[test]
    fn a_servers_timeout_is_read_in_the_unit_that_it_shows_it_in() {
        let seconds = |text| duration(text).map(|it| it.as_secs_f64());
        assert_eq!(
            ["1500ms", "2s", "1min", "3h", "1d"].map(seconds),
            [1.5, 2.0, 60.0, 10_800.0, 86_400.0].map(Some)
        );
        assert_eq!(["0", "", "s", "1y", "-1"].map(seconds), [None; 5]);
        let levels = r#"["read committed","serializable","250ms"]"#;
        let told = answer(&row(&["[]", "[]", levels])).unwrap().transaction_timeout;
        assert_eq!(told, Some(Duration::from_millis(250)));
        // Before PostgreSQL 17.
        assert_eq!(answer(&row(&["[]", "[]", r#"["a","b",null]"#])).unwrap().transaction_timeout, None);
    }

    const LEVELS: &str = r#"["read committed","serializable"]"#;

    #[test]
    fn what_names_mean_is_read_from_exactly_three_texts() {
        assert_eq!(
            answer(&row(&[r#"["a","p\"q,"]"#, r#"["s"]"#, LEVELS])),
            Some(Names {
                search_path: vec!["a".to_owned(), "p\"q,".to_owned()],
                made_by_sql: Some(vec!["s".to_owned()]),
                isolation: ["read committed".to_owned(), "serializable".to_owned()],
                transaction_timeout: None,
                purpose: None,
                runs_as: RunsAs::Unsure,
            })
        );
        assert_eq!(answer(&row(&["[]", "[]"])), None);
        assert_eq!(answer(&row(&["[]", "[]", "[]"])), None);
        assert_eq!(answer(b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(answer(b""), None);
    }

    #[test]
    fn a_purpose_is_taken_note_of_where_it_is_a_plain_word() {
        let told = |purpose: &str| {
            let settings = format!(r#"["a","b",null,{purpose}]"#);
            answer(&row(&["[]", "[]", &settings])).unwrap().purpose
        };
        assert_eq!(told(r#""support""#).as_deref(), Some("support"));
        for other in ["null", r#""""#, r#""two words""#, r#""078'05""#] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn as_whom_statements_run_is_what_the_server_says() {
        let told = |users: &str| {
            let settings = format!(r#"["a","b",null,null{users}]"#);
            answer(&row(&["[]", "[]", &settings])).unwrap().runs_as
        };
        let (session, current) = ("analyst".to_owned(), "other".to_owned());
        assert_eq!(told(r#","analyst","other""#), RunsAs::Told { session, current });
        assert_eq!(told(r#","analyst",null"#), RunsAs::Unsure);
    }

    #[test]
    fn more_statements_than_are_listed_are_not_taken_for_all() {
        let made = format!("[{}]", vec!["\"s\""; 129].join(","));
        assert_eq!(answer(&row(&["[]", &made, LEVELS])).unwrap().made_by_sql, None);
    }
}

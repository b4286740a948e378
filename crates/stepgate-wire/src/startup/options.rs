use stepgate_types::SqlState;

use crate::{Problem, plain_ascii};

/// One setting that a client asks for at startup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// The settings that a client may choose at startup: they change how results look, how long things may take,
/// and where names are looked up, all of which the session knows. What is missing here is refused: a setting
/// can change what a statement means or does (`standard_conforming_strings`, `session_preload_libraries`,
/// `role`), and the list of those is never complete.
const ALLOWED: [&str; 38] = [
    "application_name",
    "backend_flush_after",
    "bytea_output",
    "client_connection_check_interval",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "extra_float_digits",
    "geqo",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    "search_path",
    "statement_timeout",
    // What the client says it wants the data for. The server keeps it, as any setting of an unknown class.
    "stepgate.purpose",
    "synchronous_commit",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "timezone",
    "transaction_timeout",
    "work_mem",
];

/// The word's meaning as PostgreSQL has it (`parse_bool_with_len` of bool.c): beginnings count, where only one word has them.
pub(super) fn boolean(value: &str) -> Option<bool> {
    let begins = |word: &str, least: usize| {
        value.len() >= least && word.get(..value.len()).is_some_and(|it| it.eq_ignore_ascii_case(value))
    };
    if value == "1" || begins("true", 1) || begins("yes", 1) || begins("on", 2) {
        Some(true)
    } else if value == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2) {
        Some(false)
    } else {
        None
    }
}

/// Lets a setting pass under its lower-case name, or says why not.
pub(super) fn allowed(setting: Setting) -> Result<Setting, Problem> {
    let name = setting.name.to_ascii_lowercase();
    if name == "client_encoding" && is_unreadable(&setting.value) {
        return Err(Problem::fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            "statements cannot be read in this client_encoding",
        )
        .with_hint("Use UTF8, or a single-byte encoding such as LATIN1 or WIN1252."));
    }
    if ALLOWED.contains(&name.as_str()) {
        return Ok(Setting { name, value: setting.value });
    }
    Err(Problem::fatal(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("setting \"{}\" cannot be chosen at connection start", shown(&name)),
    )
    .with_hint("Leave it out of the connection options; SET it in the session if the policy lets you."))
}

/// Encodings of several bytes a letter besides UTF-8 (`encnames.c`; names are compared by letters and digits). In some a
/// byte of a letter may look like a quote or a backslash.
const UNREADABLE: [&str; 23] = [
    "big5",
    "eucjis2004",
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "johab",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "uhc",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

fn is_unreadable(encoding: &str) -> bool {
    let clean: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    let clean = clean.to_ascii_lowercase();
    UNREADABLE.contains(&clean.as_str())
}

/// A name as it can be shown: what a client invents is cut short.
fn shown(name: &str) -> String {
    plain_ascii(name).chars().take(63).collect()
}

/// Reads the `options` parameter as `process_postgres_switches` would: only `-c name=value` and `--name=value`.
pub(super) fn parse(options: &str) -> Result<Vec<Setting>, Problem> {
    let mut settings = Vec::new();
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = if let Some(long) = word.strip_prefix("--") {
            long.to_owned()
        } else if word == "-c" {
            words.next().ok_or_else(refused)?
        } else if let Some(short) = word.strip_prefix("-c") {
            short.to_owned()
        } else {
            return Err(refused());
        };
        let (name, value) = assignment.split_once('=').ok_or_else(refused)?;
        // ParseLongOption: dashes in the name are underscores.
        settings.push(Setting { name: name.replace('-', "_"), value: value.to_owned() });
    }
    Ok(settings)
}

fn refused() -> Problem {
    Problem::fatal(SqlState::FEATURE_NOT_SUPPORTED, "command-line options are not supported").with_detail(
        "Only \"-c name=value\" and \"--name=value\" are understood in the connection's options.",
    )
}

/// Splits at white space; a backslash keeps the next character (`pg_split_opts`).
fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = options.chars().peekable();
    loop {
        while letters.next_if(|letter| is_space(*letter)).is_some() {}
        if letters.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        while let Some(letter) = letters.next_if(|letter| !is_space(*letter)) {
            match letter {
                '\\' => word.extend(letters.next()),
                other => word.push(other),
            }
        }
        words.push(word);
    }
}

/// C's `isspace` for ASCII, which `pg_split_opts` uses.
const fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

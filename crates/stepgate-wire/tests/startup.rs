//! Startup packets: what PostgreSQL takes, less what would weaken the gate.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of the tests are tests, too"
)]

use proptest::prelude::*;
use stepgate_wire::startup::{
    CancelKey, First, MAX_STARTUP, Opening, SSL_REQUEST_PACKET, StartupError, packet_len, parse,
};

fn packet(code: i32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 8).unwrap();
    [&len.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn params(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body: Vec<u8> =
        pairs.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes()).collect();
    body.push(0);
    body
}

fn open_minor(minor: i32, pairs: &[(&str, &str)]) -> Result<Opening, String> {
    match parse(&packet((3 << 16) | minor, &params(pairs))) {
        Ok(First::Startup(packet)) => Opening::judge(packet).map_err(|problem| {
            assert_eq!(&problem.fatal_bytes()[..1], b"E");
            format!("{} {}", problem.state, problem.message)
        }),
        other => panic!("{other:?}"),
    }
}

fn open(pairs: &[(&str, &str)]) -> Result<Opening, String> {
    open_minor(0, pairs)
}

#[test]
fn the_requests_are_told_apart() {
    assert_eq!(parse(&SSL_REQUEST_PACKET), Ok(First::Ssl));
    assert_eq!(parse(&packet(80_877_104, b"")), Ok(First::GssEnc));
    let key = CancelKey { pid: 42, secret: (&b"abcd"[..]).into() };
    assert_eq!(parse(&key.request()), Ok(First::Cancel(key)));
    let long = CancelKey { pid: -1, secret: vec![7; 256].into() };
    assert_eq!(parse(&long.request()), Ok(First::Cancel(long)));
}

#[test]
fn bytes_behind_an_ssl_request_are_no_part_of_it() {
    assert_eq!(parse(&packet(80_877_103, b"x")), Err(StartupError::Length));
    assert_eq!(parse(&[&SSL_REQUEST_PACKET[..], b"x"].concat()), Err(StartupError::Length));
}

#[test]
fn packets_of_impossible_length_are_refused_before_they_are_read() {
    for len in [0, 4, 7, MAX_STARTUP + 1, u32::MAX as usize] {
        let word = u32::try_from(len).unwrap().to_be_bytes();
        assert_eq!(packet_len(word), Err(StartupError::Length), "{len}");
    }
    assert_eq!(packet_len(*b"GET "), Err(StartupError::Length));
    for secret in [0, 3, 257] {
        let key = CancelKey { pid: 1, secret: vec![7; secret].into() };
        assert_eq!(parse(&key.request()), Err(StartupError::Length), "{secret}");
    }
}

#[test]
fn a_startup_names_person_database_and_settings() {
    let opening = open(&[("user", "dana"), ("database", "shop"), ("application_name", "psql")]).unwrap();
    assert_eq!((opening.user.as_str(), opening.database.as_str()), ("dana", "shop"));
    assert_eq!(opening.settings, [("application_name".to_owned(), "psql".to_owned())]);
    assert_eq!((opening.minor, opening.negotiate), (0, None));
    assert_eq!(open(&[("user", "dana")]).unwrap().database, "dana");
    assert!(open(&[("database", "shop")]).unwrap_err().starts_with("28000"));
}

#[test]
fn versions_are_negotiated_as_postgresql_does() {
    let user = [("user", "dana")];
    assert_eq!(open_minor(2, &user).unwrap().negotiate, None);
    assert_eq!(open_minor(2, &user).unwrap().minor, 2);
    let newer = open_minor(9999, &user).unwrap();
    assert_eq!((newer.minor, newer.negotiate), (2, Some(vec![])));
    // 3.1 was never published: whoever asks for it is told 3.0.
    let odd = open_minor(1, &user).unwrap();
    assert_eq!((odd.minor, odd.negotiate), (0, Some(vec![])));
    let option = open(&[("user", "dana"), ("_pq_.magic", "1")]).unwrap();
    assert_eq!(option.negotiate, Some(vec!["_pq_.magic".to_owned()]));
    assert!(option.settings.is_empty());
    let two = parse(&packet(2 << 16, b""));
    assert_eq!(two, Err(StartupError::Version { major: 2, minor: 0 }));
}

#[test]
fn replication_is_refused_in_every_spelling() {
    for value in ["true", "on", "1", "yes", "database", "DATABASE", "t", ""] {
        let refused = open(&[("user", "dana"), ("replication", value)]);
        assert!(refused.unwrap_err().starts_with("0A000"), "{value}");
    }
    assert!(open(&[("user", "dana"), ("replication", "false")]).is_ok());
}

/// PostgreSQL 15.18, asked over a socket: beginnings of a word count in any case, and what is neither is 22023.
#[test]
fn whether_replication_is_asked_for_is_read_as_postgresql_reads_it() {
    for value in ["f", "FALS", "n", "No", "of", "OFF", "0"] {
        assert!(open(&[("user", "dana"), ("replication", value)]).is_ok(), "{value}");
    }
    for value in ["tr", "Y", "oN"] {
        let refused = open(&[("user", "dana"), ("replication", value)]).unwrap_err();
        assert!(refused.starts_with("0A000"), "{value}: {refused}");
    }
    for value in ["maybe", "o", "falsee", "00", " off", "d\u{e9}"] {
        let refused = open(&[("user", "dana"), ("replication", value)]).unwrap_err();
        let expected = format!("22023 invalid value for parameter \"replication\": \"{value}\"");
        assert_eq!(refused, expected);
    }
}

#[test]
fn names_that_are_no_utf_8_are_refused_as_such_and_not_repeated() {
    for (parameter, what) in [
        (&b"user"[..], "the user name"),
        (b"database", "the database name"),
        (b"application_name", "the value of a startup parameter"),
        (b"\xfe", "the name of a startup parameter"),
    ] {
        let body = [parameter, b"\0d\xffna\0\0"].concat();
        let refused = parse(&packet(3 << 16, &body)).unwrap_err();
        assert_eq!(refused, StartupError::NotUtf8(what));
        assert_eq!(refused.to_string(), format!("{what} is not valid UTF-8"));
    }
}

#[test]
fn a_parameter_given_twice_is_refused_in_any_case() {
    for again in ["user", "USER"] {
        let body = params(&[("user", "dana"), (again, "root")]);
        assert_eq!(parse(&packet(3 << 16, &body)), Err(StartupError::Duplicate));
    }
}

#[test]
fn settings_that_change_what_statements_mean_are_refused_not_dropped() {
    for name in [
        "standard_conforming_strings",
        "role",
        "session_authorization",
        "session_preload_libraries",
        "local_preload_libraries",
        "backslash_quote",
        "default_table_access_method",
        "log_statement",
        "row_security",
        "my.custom",
        "Standard_Conforming_Strings",
        "no_such_setting",
    ] {
        let (short, long) = (format!("-c {name}=off"), format!("--{name}=off"));
        for pair in [(name, "off"), ("options", short.as_str()), ("options", long.as_str())] {
            let refused = open(&[("user", "dana"), pair]);
            assert!(refused.unwrap_err().starts_with("0A000"), "{pair:?}");
        }
    }
}

#[test]
fn harmless_options_are_taken_apart() {
    let options =
        r"-c statement_timeout=5s -csearch_path=sales\ ops,public --lock-timeout=1s  -c DateStyle=ISO";
    let opening = open(&[("user", "dana"), ("options", options)]).unwrap();
    let expected = [
        ("statement_timeout", "5s"),
        ("search_path", "sales ops,public"),
        ("lock_timeout", "1s"),
        ("datestyle", "ISO"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(opening.settings, expected);
    assert_eq!(open(&[("user", "dana"), ("options", "  ")]).unwrap().settings, []);
}

/// As PostgreSQL has it (`process_startup_options` of postinit.c): else a session would have another search_path or encoding
/// than its author sees.
#[test]
fn a_parameter_of_the_packet_comes_after_options_wherever_they_stand() {
    let (options, param) = (("options", "-c search_path=hr -c datestyle=ISO"), ("search_path", "public"));
    for pairs in [[("user", "dana"), options, param], [("user", "dana"), param, options]] {
        let opening = open(&pairs).unwrap();
        let expected = [("search_path", "hr"), ("datestyle", "ISO"), ("search_path", "public")];
        assert_eq!(opening.settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(opening.setting("search_path"), Some("public"));
    }
}

#[test]
fn other_command_line_switches_are_refused() {
    for options in [
        "-d 5",
        "-c",
        "-c jit",
        "--jit",
        "-O",
        "jit=off",
        "-f s",
        "-ejit=off",
        "-c -c jit=off",
        r"\-c role=x",
        "-",
    ] {
        let refused = open(&[("user", "dana"), ("options", options)]);
        assert!(refused.unwrap_err().starts_with("0A000"), "{options}");
    }
}

#[test]
fn an_encoding_that_cannot_be_read_is_refused() {
    for encoding in ["UTF8", "utf-8", "unicode", "LATIN1", "WIN1252", "SQL_ASCII", "there is none"] {
        let opening = open(&[("user", "dana"), ("client_encoding", encoding)]).unwrap();
        assert_eq!(opening.setting("client_encoding"), Some(encoding));
    }
    for encoding in ["SJIS", "shift_jis_2004", "BIG5", "gbk", "UHC", "GB18030", "euc-jp", "windows-936"] {
        let problem = open(&[("user", "dana"), ("client_encoding", encoding)]).unwrap_err();
        assert!(problem.contains("client_encoding"), "{problem}");
        let options = format!("-c client_encoding={encoding}");
        assert!(open(&[("user", "dana"), ("options", &options)]).is_err(), "{encoding}");
    }
}

proptest! {
    #[test]
    fn no_packet_makes_the_reader_panic(bytes: Vec<u8>) {
        drop(parse(&bytes));
        drop(parse(&packet(3 << 16, &bytes)));
        drop(parse(&packet(80_877_102, &bytes)));
    }

    #[test]
    fn no_options_smuggle_a_forbidden_setting(options in r"[-c =\\a-z]{0,40}(role|jit)=?[ \\a-z]{0,10}") {
        if let Ok(opening) = open(&[("user", "dana"), ("options", &options)]) {
            prop_assert!(opening.setting("role").is_none());
        }
    }
}

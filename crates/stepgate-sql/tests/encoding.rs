//! Single-byte encodings are read as PostgreSQL converts them.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{columns, session, snapshot};
use stepgate_sql::{ClientEncoding, SessionState, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

const NAMES: [&str; 26] = [
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1256",
    "WIN1257",
    "WIN866",
    "WIN874",
    "KOI8R",
    "KOI8U",
];

/// PostgreSQL is the judge: a byte is the letter that it converts it to, or none.
#[test]
fn every_byte_is_the_letter_that_postgresql_converts_it_to() {
    let cluster = Cluster::start().unwrap();
    cluster.create_database("shop").unwrap();
    let convert = "create function letter(encoding text, byte int) returns text language plpgsql as $$ begin \
                   return ascii(convert_from(decode(lpad(to_hex(byte), 2, '0'), 'hex'), encoding)); \
                   exception when others then return 'none'; end $$";
    cluster.load("shop", convert).unwrap();
    let names = NAMES.map(|name| format!("'{name}'")).join(",");
    let sql = format!(
        "select e, b, letter(e, b) from unnest(array[{names}]) e, generate_series(1, 255) b order by 1, 2"
    );
    let answer = cluster.psql("shop", &sql).unwrap();
    let (mut same, mut none) = (0, 0);
    for line in answer.lines() {
        let [encoding, byte, letter] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let ours = ClientEncoding::named(encoding).letter(byte.parse().unwrap());
        match ours {
            Some(ours) => assert_eq!(u32::from(ours).to_string(), letter, "{line}"),
            None => none += 1,
        }
        same += usize::from(ours.is_some());
    }
    assert_eq!(same + none, NAMES.len() * 255);
    assert!(none < 400, "{none} letters are not known");
}

#[test]
fn names_of_encodings_are_compared_as_postgresql_does() {
    for name in NAMES {
        let spelt = name.to_lowercase().replace("_", "-");
        assert_ne!(ClientEncoding::named(&spelt), ClientEncoding::Other, "{spelt}");
    }
    assert_eq!(ClientEncoding::named("utf-8"), ClientEncoding::Utf8);
    assert_eq!(ClientEncoding::named("Windows-1252"), ClientEncoding::named("WIN1252"));
    assert_eq!(ClientEncoding::named("iso 8859-1"), ClientEncoding::named("LATIN1"));
    for name in ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "EUC_JP", "MULE_INTERNAL", "JOHAB", "x", ""] {
        assert_eq!(ClientEncoding::named(name), ClientEncoding::Other, "{name}");
    }
}

#[test]
fn text_is_read_in_the_clients_encoding() {
    let catalog = stepgate_sql::Catalog::default();
    let mut session = SessionState::with_search_path(["pg_catalog"]);
    let certainty = |sql: &[u8], session: &SessionState| analyze(sql, &catalog, session)[0].certainty;
    for (encoding, sql, known) in [
        ("LATIN1", &b"select 'caf\xe9', \"\xe9\" from (values (1)) v(\"\xe9\")"[..], true),
        ("UTF8", b"select 'caf\xe9'", false),
        ("SQL_ASCII", b"select 'caf\xe9'", false),
        ("SQL_ASCII", b"select 'cafe'", true),
        // A trail byte of SJIS that is a backslash, and one that is not a letter there.
        ("SJIS", b"select '\x83\x5c'", false),
        ("LATIN3", b"select '\xa5'", false),
    ] {
        session.encoding = ClientEncoding::named(encoding);
        assert_eq!(certainty(sql, &session) == Certainty::Exact, known, "{encoding}: {}", sql.escape_ascii());
    }
}

#[test]
fn setting_an_encoding_is_understood_where_it_can_be_read() {
    let catalog = stepgate_sql::Catalog::default();
    let session = SessionState::with_search_path(["pg_catalog"]);
    for (sql, known) in [
        ("set client_encoding = 'LATIN1'", true),
        ("set client_encoding to win1252", true),
        ("set names 'utf8'", true),
        ("set client_encoding = sql_ascii", true),
        ("set client_encoding = 'SJIS'", false),
        ("set names 'gb18030'", false),
        ("set client_encoding to default", false),
        ("reset client_encoding", false),
        ("select set_config('client_encoding', 'latin1', false)", false),
    ] {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        assert_eq!(facts[0].certainty == Certainty::Exact, known, "{sql}");
    }
}

/// Two tables whose names, in a body, are told apart by letters that LATIN1 writes otherwise than UTF-8.
const BODIES: &str = r#"
    create table customers (ssn text);
    insert into customers values ('123-45-6789');
    create table dummy (ssn text);
    insert into dummy values ('none');
    create table log (ssn text);
    create function asked() returns text language sql
      as $$ select "é".ssn || '' from customers U&"\00e9", dummy U&"\00c3\00a9" $$;
    create function bound() returns text language sql
      return (select "é".ssn || '' from customers U&"\00e9", dummy U&"\00c3\00a9");
    create domain checked as text check (value <> asked());
    create view seen as select asked() as ssn;
    create table fires (a int);
    create function told() returns trigger language plpgsql as $$ begin
      insert into log select "é".ssn || '' from customers U&"\00e9", dummy U&"\00c3\00a9"; return new; end $$;
    create trigger told after insert on fires for each row execute function told();
"#;

#[test]
fn bodies_are_read_as_the_server_has_them_whatever_encoding_the_client_writes() {
    let cluster = Cluster::start().unwrap();
    cluster.create_database("shop").unwrap();
    cluster.load("shop", BODIES).unwrap();
    let catalog = snapshot(&cluster, "shop");
    for encoding in ["UTF8", "LATIN1", "WIN1252", "SQL_ASCII", "SJIS"] {
        let session = SessionState { encoding: ClientEncoding::named(encoding), ..session() };
        for sql in [
            "select asked()",
            "select bound()",
            "select 'x'::checked",
            "select ssn from seen",
            "insert into fires values (1)",
        ] {
            let read = columns(&analyze(sql.as_bytes(), &catalog, &session)[0]);
            assert!(read.contains_key("public.customers.ssn"), "{encoding}: {sql}: {read:?}");
        }
        let mut psql = cluster.psql_command("shop");
        let shown = psql.env("PGCLIENTENCODING", encoding).args(["-c", "select asked()"]).output().unwrap();
        assert_eq!(shown.stdout, b"123-45-6789\n", "{encoding}");
    }
}

/// A server whose encoding is SQL_ASCII takes the bytes of a name as they come.
#[test]
fn a_server_that_converts_nothing_finds_names_by_their_bytes() {
    let cluster = Cluster::start().unwrap();
    let make = "create database shop encoding 'SQL_ASCII' locale 'C' template template0";
    cluster.psql("postgres", make).unwrap();
    let names = r#"create table customers (ssn text);
                   insert into customers values ('123-45-6789');
                   create view "é" as select ssn from customers;
                   create table "Ã©" (ssn text)"#;
    cluster.load("shop", names).unwrap();
    let catalog = snapshot(&cluster, "shop");
    let session = SessionState { encoding: ClientEncoding::named("LATIN1"), ..session() };
    let sql = "select ssn from \"é\"";
    let read = columns(&analyze(sql.as_bytes(), &catalog, &session)[0]);
    assert!(read.contains_key("public.customers.ssn"), "{read:?}");
    // By its bytes it is no name that the catalog could have.
    let facts = analyze(b"select ssn from \"\xe9\"", &catalog, &session);
    assert_eq!(facts[0].certainty, Certainty::Unknown);
    let mut psql = cluster.psql_command("shop");
    let shown = psql.env("PGCLIENTENCODING", "LATIN1").args(["-c", sql]).output().unwrap();
    assert_eq!(shown.stdout, b"123-45-6789\n", "{shown:?}");
}

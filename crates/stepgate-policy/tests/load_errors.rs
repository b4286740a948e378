//! Broken files: each error is found, at its place, with the line it is in.

mod common;

use common::{APPROVALS, MAP};
use stepgate_policy::{Errors, LoadError, Map, Ruleset};

/// A file, then for each error expected in it: line, column, the excerpt from the caret on as wide as the
/// caret, a part of the message and a part of the help.
type Case<'a> = (&'a str, &'a [(u64, u64, &'a str, &'a str, &'a str)]);

fn underlined(error: &LoadError) -> String {
    error.excerpt.chars().skip(error.caret.saturating_sub(1)).take(error.width).collect()
}

fn check(text: &str, errors: &Errors, expected: &[(u64, u64, &str, &str, &str)]) {
    assert_eq!(errors.count(), expected.len(), "{text}\n{errors}");
    for (error, (line, column, under, message, help)) in errors.iter().zip(expected) {
        assert_eq!((error.line, error.column), (*line, *column), "{text}\n{error}");
        assert_eq!(underlined(error), *under, "{text}\n{error}");
        assert!(error.message.contains(message), "{text}\n{error}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{text}\n{error}");
    }
}

#[test]
fn a_broken_map_is_refused_with_place_excerpt_and_suggestion() {
    let cases: &[Case<'_>] = &[
        ("", &[(0, 0, "", "the map is empty", "")]),
        ("labels: {}", &[(1, 1, "l", "needs `version`", "")]),
        ("version: 2", &[(1, 10, "2", "reads version 1, not 2", "")]),
        ("version: \"1\"", &[(1, 10, "\"1\"", "is the number 1, not text", "")]),
        ("- version: 1", &[(1, 1, "-", "a mapping, not a list", "")]),
        ("version: 1\nlables: {}", &[(2, 1, "lables", "no key `lables`", "did you mean `labels`?")]),
        ("version: 1\nversion: 1", &[(2, 1, "version", "`version` is here twice", "")]),
        ("version: 1\nmask: {}", &[(2, 1, "mask", "`mask` is not built yet", "remove it")]),
        (
            "version: 1\nclasses: {a: 0}",
            &[(2, 10, "{", "at least one class", ""), (2, 14, "0", "a whole number from 1 to 1000", "")],
        ),
        ("version: 1\nclasses: {a: 1, b: 1}", &[(2, 20, "1", "`b` has the rank of `a`", "rank of its own")]),
        ("version: 1\nclasses: {Top Secret: 1, b: 2}", &[(2, 11, "Top Secret", "begins with a letter", "")]),
        (
            "version: 1\nlabels:\n  ssn: {class: restrictd}",
            &[(3, 16, "restrictd", "there is no class `restrictd`", "did you mean `restricted`?")],
        ),
        (
            "version: 1\ndatabases: {shop: {public.t: {track_subjects: true}}}",
            &[(2, 47, "true", "`track_subjects` of public.t needs its `subject_key`", "")],
        ),
        ("version: 1\nlabels:\n  ssn: {}", &[(3, 8, "{", "label `ssn` needs `class`", "")]),
        ("version: 1\nlabels:\n  ssn: restricted", &[(3, 8, "restricted", "a mapping, not text", "")]),
        (
            "version: 1\nlabels:\n  ssn: {class: restricted, mask: hash, threshold: 5}",
            &[(3, 28, "mask", "`mask` is not built yet", ""), (3, 40, "threshold", "no key `threshold`", "")],
        ),
        (
            "version: 1\ndatabases:\n  shop:\n    Public.customers: {}\n    customers: {}\n    public.order: {}",
            &[
                (4, 5, "Public.customers", "would print `Public.customers` as public.customers", ""),
                (5, 5, "customers", "with its schema, such as public.customers", ""),
                (6, 5, "public.order", "as public.\"order\"", ""),
            ],
        ),
        (
            "version: 1\nlabels: {email: {class: confidential}}\ndatabases:\n  shop:\n    public.c: {columns: {a: emial, b: {label: email, mask: x}, c: 5, a: email}}",
            &[
                (5, 29, "emial", "there is no label `emial`", "did you mean `email`?"),
                (5, 54, "mask", "`mask` is not built yet", ""),
                (5, 67, "5", "is text, and this reads as a number", "put it in quotes"),
                (5, 70, "a", "`a` is here twice", ""),
            ],
        ),
        (
            "version: 1\ndatabases:\n  shop:\n    public.c: {colums: {}, unlisted_columns: top, subject_key: [id]}",
            &[
                (4, 16, "colums", "public.c has no key `colums`", "did you mean `columns`?"),
                (4, 46, "top", "there is no class `top`", "known here: internal, confidential, restricted"),
                (4, 64, "[", "is text, not a list", ""),
            ],
        ),
        (
            "version: 1\nunknown: {tables: deny, functions: stepup, dynamic_sql: mask, sql: deny}",
            &[
                (2, 19, "deny", "`allow` or a class", ""),
                (2, 36, "stepup", "cannot be `stepup`", "did you mean `step-up`?"),
                (2, 57, "mask", "action `mask` is not built yet", ""),
                (2, 63, "sql", "`unknown` has no key `sql`", ""),
            ],
        ),
        (
            "version: 1\nlabels: {a: {class: internal}}\ndatabases:\n  shop:\n    public.c:\n      columns: {a: {label: a, threshold: 5}}\n      threshold: {b: [1, 2, x], c: [1, 1], d: [2, 1.5], e: {}, f: [], g: 5, h: [0.12345678901234567]}\n    public.d: {threshold: 5}\n    public.e: {thresholds: {}}",
            &[
                (
                    6,
                    31,
                    "threshold",
                    "stands beside `columns`",
                    "for example threshold: {amount: [10000, 30000]}",
                ),
                (7, 29, "x", "`threshold` of column `b` is a list of numbers", "for example"),
                (7, 40, "1", "`threshold` of column `c` must ascend", ""),
                (7, 51, "1.5", "`threshold` of column `d` must ascend", ""),
                (7, 60, "{", "`threshold` of column `e` is a list, not a mapping", ""),
                (7, 67, "[", "is an empty list", ""),
                (7, 81, "0.12345678901234567", "a list of numbers", ""),
                (8, 27, "5", "`threshold` of public.d is a mapping, not a number", ""),
                (9, 16, "thresholds", "public.e has no key `thresholds`", "did you mean `threshold`?"),
            ],
        ),
        (
            "version: 1\ndatabases:\n  shop:\n    public.c: {threshold: {a: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}}",
            &[(4, 31, "[", "has 17 numbers, and at most 16 are told apart", "")],
        ),
        ("version: 1\nclasses: [a, b", &[(2, 10, "[", "not readable as YAML", "")]),
        ("version: 1\n<<: {classes: {a: 1}}", &[(2, 1, "<", "merge keys are not allowed", "")]),
        ("version: 1\n---\nversion: 1", &[(3, 1, "v", "multiple YAML documents", "")]),
    ];
    for (text, expected) in cases {
        let errors = Map::load("map.yaml", text).map(|_| ()).expect_err(text);
        check(text, &errors, expected);
    }
}

#[test]
fn a_broken_policy_is_refused_with_place_excerpt_and_suggestion() {
    let usual = "version: 1\napprovals: {self: {self: true}, owners: {groups: [data-owners]}}\n";
    let cases: &[Case<'_>] = &[
        ("mode: monitr", &[(3, 7, "monitr", "`mode` cannot be `monitr`", "did you mean `monitor`?")]),
        ("defaults: {hold: 2h}", &[(3, 18, "2h", "at most 1h", "")]),
        ("defaults: {hold: 0s}", &[(3, 18, "0s", "more than zero", "")]),
        ("defaults: {hold: 300}", &[(3, 18, "300", "a duration such as 90s, 5m or 1h", "")]),
        ("defaults: {on_error: allow}", &[(3, 22, "allow", "can only be `deny`", "")]),
        ("defaults: {action: step-up}", &[(3, 20, "step-up", "`allow`, `monitor` or `deny`", "match: {}")]),
        (
            "defaults: {in_transaction: wait}",
            &[(3, 28, "wait", "cannot be `wait`", "known here: auto, hold, defer")],
        ),
        ("defaults: {on_client_gone: drop}", &[(3, 28, "drop", "cannot be `drop`", "withdraw")]),
        ("risk: {signals: {}}", &[(3, 17, "{", "`risk.signals` is empty", "")]),
        ("rules: {}", &[(3, 8, "{", "is a list, not a mapping", "")]),
        (
            "rules: [{}]",
            &[
                (3, 9, "{", "needs `name`", ""),
                (3, 9, "{", "needs `match`", ""),
                (3, 9, "{", "needs `action`", ""),
            ],
        ),
        (
            "rules:\n  - {name: a, match: {}, action: deny}\n  - {name: a, match: {}, action: deny}",
            &[(5, 12, "a", "another rule named `a`", "")],
        ),
        (
            "rules: [{name: control, match: {}, action: deny}]",
            &[(3, 16, "control", "the gate's own rule", "")],
        ),
        (
            "rules: [{name: unknown.x, match: {}, action: deny}]",
            &[(3, 16, "unknown.x", "a rule's name is", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: mask}]",
            &[(3, 38, "mask", "action `mask` is not built yet", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: deny, limit: {rows: 5}, unmask: [ssn]}]",
            &[(3, 44, "limit", "no effect with action `deny`", ""), (3, 62, "unmask", "not built yet", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {}}, {name: b, match: {}, action: allow, limit: 5}]",
            &[
                (3, 52, "{", "`limit` needs `rows`, `bytes` or `subjects`", ""),
                (3, 100, "5", "`limit` is a mapping", ""),
            ],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {row: 5, bytes: 5mib}}]",
            &[
                (3, 53, "row", "`limit` has no key `row`", "did you mean `rows`?"),
                (3, 68, "5mib", "`limit.bytes` is a size such as 64KiB, 5MiB or 1GB", ""),
            ],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 0, bytes: 0}}]",
            &[(3, 59, "0", "a whole number from 1", ""), (3, 69, "0", "more than zero", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 5, subjects: 3}}]",
            &[(3, 72, "3", "no table of the map tells its subjects", "`track_subjects: true`")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {subjects: 10001}}]",
            &[(3, 63, "10001", "`limit.subjects` is at most 10000", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 5, per: day}}]",
            &[(3, 67, "day", "`limit.per` is `statement`, `session` or a time such as 15m, 1h or 7d", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 5, per: 59s}}]",
            &[(3, 67, "59s", "`limit.per` is at least 1m", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 5, per: 32d}}]",
            &[(3, 67, "32d", "`limit.per` must be more than zero and at most 31d", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: [{rows: 5, per: 1h}, {bytes: 1MiB, per: 60m}]}]",
            &[(3, 73, "{", "another limit per 1h", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {per: 1h}}]",
            &[(3, 52, "{", "`limit` needs `rows`, `bytes` or `subjects`", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: allow, limit: {rows: 5}, approval: slef}]",
            &[(3, 73, "slef", "no approval `slef`", "did you mean `self`?")],
        ),
        (
            "rules: [{name: a, match: {}, action: monitor, approval: self}]",
            &[(3, 47, "approval", "has no effect with action `monitor`", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: step-up}]",
            &[(3, 9, "{", "action `step-up` needs `approval`", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: step-up, approval: slef}]",
            &[(3, 57, "slef", "no approval `slef`", "did you mean `self`?")],
        ),
        (
            "rules: [{name: a, match: {}, action: step-up, approval: owners}]",
            &[(3, 57, "owners", "needs an approval with `self: true`", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: approve, approval: self}]",
            &[(3, 57, "self", "needs an approval by `groups`", "")],
        ),
        (
            "rules: [{name: a, match: {}, action: deny, approval: self}]",
            &[(3, 44, "approval", "has no effect with action `deny`", "")],
        ),
    ];
    for (text, expected) in cases {
        let text = format!("{usual}{text}");
        let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", &text)).map(|_| ()).expect_err(&text);
        check(&text, &errors, expected);
        assert!(errors.iter().all(|error| error.file == "policy.yaml"));
    }
}

#[test]
fn a_limit_at_which_nobody_could_be_asked_is_refused() {
    let text = "version: 1\napprovals: {owners: {groups: [data-owners]}}\n\
                rules: [{name: a, match: {}, action: allow, limit: {rows: 5}}]";
    let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", text)).map(|_| ()).expect_err(text);
    let ours = errors.iter().find(|error| error.line == 3).expect("an error at the rule");
    assert!(ours.message.contains("nobody could be asked at this `limit`"), "{}", ours.message);
}

#[test]
fn a_broken_condition_is_refused_with_place_excerpt_and_suggestion() {
    let cases = [
        ("{class: \">=restrcted\"}", "\">=restrcted\"", "no class `restrcted`", "did you mean"),
        ("{labels: [ssn, emial]}", "emial", "the map has no label `emial`", "did you mean `email`?"),
        ("{labels: []}", "[", "an empty list", ""),
        (
            "{tables: [public.custmers]}",
            "public.custmers",
            "public.custmers is not in the map",
            "did you mean public.customers?",
        ),
        ("{tables: [customers]}", "customers", "with its schema", ""),
        ("{columns: [public.customers.snn]}", "public.customers.snn", "not in the map", ""),
        ("{columns: [public.customers]}", "public.customers", "schema.table.column", ""),
        ("{use: [read]}", "read", "`use` cannot be `read`", "known here: output, predicate"),
        ("{kind: selct}", "selct", "`kind` cannot be `selct`", "did you mean `select`?"),
        ("{certainty: maybe}", "maybe", "cannot be `maybe`", "exact, over, unknown"),
        ("{bulk: yes}", "yes", "`bulk` is true, false, or words", "whole-table"),
        ("{estimate_rows: 10}", "10", "\">N\" or \">=N\"", "for example"),
        ("{estimate_rows: \"<10\"}", "\"<10\"", "\">N\" or \">=N\"", ""),
        ("{estimate_rows: \">99999999999999999999\"}", "\">99999999999999999999\"", ">N", ""),
        ("{person: Dana}", "Dana", "`person`: a name is", ""),
        ("{groups: [a b]}", "a b", "`groups`: a name is", ""),
        ("{network: 10.0.0.0/33}", "10.0.0.0/33", "`network` is a network", ""),
        (
            "{network: \"::ffff:10.0.0.0/8\"}",
            "\"::ffff:10.0.0.0/8\"",
            "with a prefix of IPv6",
            "such as 10.0.0.0/8",
        ),
        ("{network: \"::ffff:10.0.0.1/104\"}", "\"::ffff:10.0.0.1/104\"", "beyond its prefix", "10.0.0.0/8"),
        ("{network: 10.0.0.1/8}", "10.0.0.1/8", "bits beyond its prefix", "10.0.0.0/8"),
        ("{any: {kind: select}}", "{", "a list of conditions, not a mapping", ""),
        ("{any: []}", "[", "an empty list", ""),
        ("{not: {label: [ssn]}}", "label", "no key `label`", "did you mean `labels`?"),
        (
            "{signal: new_client}",
            "new_client",
            "`new_client` has no weight",
            "risk: {signals: {new_client: 20}}",
        ),
        ("{any: [{risk: \">=40\"}]}", "\">=40\"", "there is no risk without `risk:`", ""),
        ("{predicate: {column: x}}", "x", "schema.table.column", ""),
        ("{predicate: amount}", "amount", "`predicate` is a mapping, not text", ""),
        ("{predicate: {}}", "{", "needs `column`, `labels` or `class`", ""),
        ("{predicate: {op: \"<\"}}", "{", "needs `column`, `labels` or `class`", ""),
        (
            "{predicate: {labels: ssn, columns: [a.b.c]}}",
            "columns",
            "no key `columns`",
            "did you mean `column`?",
        ),
        ("{predicate: {labels: [snn]}}", "snn", "no label `snn`", "did you mean `ssn`?"),
        ("{predicate: {class: secret}}", "secret", "no class `secret`", ""),
        (
            "{predicate: {column: a.b.c, op: between}}",
            "between",
            "`op` cannot be `between`",
            "known here: =, <>",
        ),
        ("{predicate: {column: a.b.c, op: 7}}", "7", "`op` is text", "quotes"),
        ("{predicate: {column: a.b.c, value: 7}}", "value", "`value` needs `op`", "op: \">\""),
        ("{predicate: {column: a.b.c, op: like, value: 7}}", "value", "no effect with op `like`", ""),
        (
            "{predicate: {column: a.b.c, op: \">\", value: many}}",
            "many",
            "`value` is a number",
            "leave `value` out",
        ),
        ("{predicate: {column: a.b.c, op: \">\", value: true}}", "true", "`value` is a number", ""),
        (
            "{predicate: {column: a.b.c, op: \">\", value: 0.12345678901234567}}",
            "0.12345678901234567",
            "`value` is a number",
            "where YAML would round it",
        ),
        ("{not: {predicate: {column: a.b.c, vlaue: 7}}}", "vlaue", "no key `vlaue`", "did you mean `value`?"),
        ("{not: {delivered_rows: \">5\"}}", "delivered_rows", "at the top of `match`", "a rule of its own"),
        ("{clas: restricted}", "clas", "`match` has no key `clas`", "did you mean `class`?"),
    ];
    for (text, under, message, help) in cases {
        let policy = format!("{APPROVALS}rules:\n  - {{name: a, action: deny, match: {text}}}\n");
        let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", &policy)).map(|_| ()).expect_err(text);
        assert_eq!(errors.count(), 1, "{text}\n{errors}");
        let error = errors.iter().next().unwrap();
        let line = policy.lines().nth(7).unwrap();
        assert_eq!((error.line, error.excerpt.as_str()), (8, line), "{error}");
        assert_eq!(underlined(error), under, "{error}");
        assert!(error.message.contains(message), "{error}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{error}");
    }
}

#[test]
fn a_broken_approval_is_refused() {
    for (text, under, message) in [
        ("{}", "{", "who answers it?"),
        ("{self: false}", "{", "who answers it?"),
        ("{self: true, groups: [a]}", "[", "not by both"),
        ("{groups: []}", "[", "an empty list"),
        ("{self: true, count: 2}", "2", "a whole number from 1 to 1"),
        ("{groups: [a], count: 0}", "0", "a whole number from 1 to 10"),
        ("{self: true, strength: strongest}", "strongest", "`strength`"),
        ("{self: true, reason: required}", "required", "is not built yet"),
        ("{groups: [a], expires: 8d}", "8d", "at most 7d"),
        ("{self: true, expires: 2h}", "2h", "at most 1h"),
        ("{self: true, remember: 15m}", "15m", "a mapping such as {for: 15m}"),
        ("{self: true, remember: {scope: [person]}}", "{", "needs `for`"),
        ("{self: true, remember: {for: 15m, rows: 5}}", "rows", "is not built yet"),
        ("{self: true, remember: {for: 15m, scope: [tables]}}", "tables", "cannot be `tables`"),
        ("{self: true, remember: {for: 15m, sink: maybe}}", "maybe", "`remember.sink`"),
        ("{self: true, escalate: {after: 1m, to: [a]}}", "{", "for approvals by `groups`"),
        ("{groups: [a], expires: 1h, escalate: {after: 1h, to: [b]}}", "1h", "must be less than the 1h"),
        ("{groups: [a], escalate: {to: [b]}}", "{", "needs `after`"),
        ("{groups: [a], escalate: {after: 1m, to: []}}", "[", "an empty list"),
        ("{groups: [a], unmask: [ssn]}", "unmask", "is not built yet"),
    ] {
        let policy = format!("version: 1\napprovals:\n  self: {{self: true}}\n  x: {text}\n");
        let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", &policy)).map(|_| ()).expect_err(text);
        assert_eq!(errors.count(), 1, "{text}\n{errors}");
        let error = errors.iter().next().unwrap();
        assert_eq!((error.line, underlined(error).as_str()), (4, under), "{error}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn services_are_answered_for_by_others_that_there_are() {
    for (name, message) in [("self", "asks the person"), ("nobody", "no approval `nobody`")] {
        let policy =
            format!("version: 1\ndefaults: {{services: {name}}}\napprovals: {{self: {{self: true}}}}\n");
        let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", &policy)).map(|_| ()).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert_eq!((errors.count(), error.line, underlined(error).as_str()), (1, 2, name), "{errors}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn an_unknown_entry_that_asks_somebody_needs_somebody_to_ask() {
    let policy = "version: 1\napprovals: {owners: {groups: [data-owners]}}\n";
    let errors = Ruleset::load(("map.yaml", MAP), ("policy.yaml", policy)).map(|_| ()).unwrap_err();
    let messages: Vec<_> = errors.iter().map(|error| (error.line, error.message.as_str())).collect();
    assert_eq!(
        messages,
        [
            (
                2,
                "the map's `unknown.functions` is `step-up`, and there is no approval with `self: true` for it"
            ),
            (
                2,
                "the map's `unknown.statements` is `step-up`, and there is no approval with `self: true` for it"
            ),
        ]
    );
    let map = format!("{MAP}unknown: {{functions: approve, statements: deny}}\n");
    assert!(Ruleset::load(("map.yaml", &map), ("policy.yaml", policy)).is_ok());
}

#[test]
fn errors_of_both_files_are_reported_at_once_map_first() {
    let map = "version: 1\nlabels: {ssn: {clas: restricted}}\n";
    let policy = "version: 1\nmode: of\napprovals: {self: {self: true}}\n\
                  rules: [{name: a, match: {labels: [ssn]}, action: denny}]\n";
    let errors = Ruleset::load(("m.yaml", map), ("p.yaml", policy)).map(|_| ()).unwrap_err();
    let places: Vec<_> = errors.iter().map(|e| (e.file.as_str(), e.line, e.message.as_str())).collect();
    // The label whose class is wrong is still known to the rule: one slip, one error.
    assert_eq!(
        places,
        [
            ("m.yaml", 2, "label `ssn` needs `class`"),
            ("m.yaml", 2, "label `ssn` has no key `clas`"),
            ("p.yaml", 2, "`mode` cannot be `of`"),
            ("p.yaml", 4, "`action` cannot be `denny`"),
        ]
    );
    let json: serde_json::Value = serde_json::from_str(&errors.to_json()).unwrap();
    assert_eq!(json[3]["file"], "p.yaml");
    assert_eq!(json[3]["line"], 4);
    assert_eq!(json[3]["help"], "did you mean `deny`?");
}

#[test]
fn an_error_is_shown_with_its_line_and_a_caret_under_the_word() {
    let errors = Map::load("policies/map.yaml", "version: 1\nlables: {}\n").map(|_| ()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "policies/map.yaml:2:1: the map has no key `lables`\n  \
         2 | lables: {}\n    | ^^^^^^\n  help: did you mean `labels`?"
    );
}

#[test]
fn an_unquoted_comparison_says_that_it_needs_quotes() {
    for text in ["{class: >=restricted}", "\n      class: >=restricted"] {
        let policy = format!("{APPROVALS}rules:\n  - name: a\n    action: deny\n    match: {text}\n");
        let errors = Ruleset::load(("m", MAP), ("p", &policy)).map(|_| ()).unwrap_err();
        assert!(errors.to_string().contains("needs quotes: \">=restricted\""), "{errors}");
    }
}

#[test]
fn a_file_cannot_move_the_cursor_of_the_terminal_that_shows_its_errors() {
    let text = "version: 1\n\"a\\e[2Jb\u{202e}c\": {}\n";
    let shown = Map::load("m.yaml", text).map(|_| ()).unwrap_err().to_string();
    assert!(!shown.chars().any(|c| c == '\u{1b}' || c == '\u{202e}'), "{shown:?}");
}

#[test]
fn hostile_yaml_is_refused_in_bounded_time_and_space() {
    let bomb = "version: 1\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(b'b'..=b'j')
            .map(|c| {
                let (this, last) = (c as char, (c - 1) as char);
                format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(","))
            })
            .collect::<String>();
    let deep = format!("version: 1\na: {}1{}\n", "[".repeat(5000), "]".repeat(5000));
    let nested = format!("{}kind: select{}", "{not: ".repeat(2000), "}".repeat(2000));
    let long = "#".repeat(9 * 1024 * 1024);
    for text in [bomb, deep, nested, long] {
        let errors = Map::load("m.yaml", &text).map(|_| ()).unwrap_err();
        assert!(errors.count() <= 101);
        assert!(errors.to_string().len() < 200_000);
    }
}

#[test]
fn a_very_long_line_is_cut_around_the_caret() {
    let text = format!("version: 1\nlabels: {{{} zz: {{class: nope}}}}\n", "a: {class: restricted},");
    let padding = "x".repeat(500);
    let text = text.replace("zz:", &format!("\"{padding}\": {{class: internal}}, zz:"));
    let errors = Map::load("m.yaml", &text).map(|_| ()).unwrap_err();
    let error = errors.iter().find(|error| error.message.contains("nope")).unwrap();
    assert_eq!(underlined(error), "nope");
    assert!(error.excerpt.chars().count() <= 120);
}

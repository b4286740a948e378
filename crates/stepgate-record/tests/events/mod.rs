//! One record of each type, as older versions wrote them too.

mod document;
pub(crate) mod ocsf;

use stepgate_record::Event;

/// A held statement.
pub(crate) const STATEMENT: &str = r#"{"type":"statement.decided","session":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","statement":3,
    "person":"dana","groups":["support"],"database":"app","protocol":"extended","kinds":["select"],
    "certainty":"exact","reasons":[],"relations":["public.customers"],"columns":[
    {"column":"public.customers.ssn","label":"ssn","class":"restricted","uses":["output"]},
    {"column":"public.customers.email","label":"email","class":"confidential","uses":["predicate"]}],
    "sinks":[],"bulk":"none","estimate":100,"fingerprint":"ab","normalised":"SELECT ssn FROM customers WHERE email = $1",
    "parameters":1,"rules":["pii"],"action":"step-up","verdict":"hold","request":null,"grant":null,
    "policy_sha256":"cd"}"#;

/// What objects in a statement's record there are besides columns.
const MORE: &str = r#""why":[{"rule":"pii","clause":"labels","bucket":"ssn"}],
    "signals":[{"name":"new-table","bucket":"yes","threshold":"yes","weight":20}],"risk":20,
    "buckets":[{"column":"public.orders.total","op":">","bucket":-1}]"#;

const OTHERS: &str = r#"
{"type":"log.started","version":"0.1.0"}
{"type":"log.started","version":"0.1.0","checked_from":0,"records":5,"checkpoint_size":4}
{"type":"log.stopped"}
{"type":"log.tail_cut","bytes":12}
{"type":"session.opened","session":"S","person":"dana","database":"app","db_user":"app_rw","address":"192.0.2.7","client":"psql","tls":true,"method":"scram-sha-256-plus"}
{"type":"session.opened","session":"S","person":"dana","database":"app","db_user":"app_rw","address":"2001:db8::7","client":"","tls":false}
{"type":"session.auth_failed","person":null,"address":"192.0.2.7","more":3}
{"type":"session.auth_failed","person":"dana","address":"192.0.2.7"}
{"type":"session.auth_failed","person":"dana","address":"192.0.2.7","reason":"password","method":"scram-sha-256","database":"app","door":"database"}
{"type":"session.auth_failed","person":null,"address":"192.0.2.7","more":2,"reason":"throttled","method":"password","door":"console"}
{"type":"session.refused","person":"dana","address":"192.0.2.7","client":"psql","database":"app","reason":"no-role","method":"scram-sha-256"}
{"type":"session.refused","person":"dana","address":"192.0.2.7","client":"psql","reason":"unknown-database","method":"scram-sha-256-plus","more":7}
{"type":"session.closed","session":"S","reason":"terminate"}
{"type":"session.closed","session":"S","reason":"gate-lost"}
{"type":"statement.parse_failed","session":"S","statement":4,"sqlstate":"42601"}
{"type":"statement.subjects","session":"S","statement":3,"relation":"public.customers","source":"output","hashes":["0102"],"more":false}
{"type":"statement.completed","session":"S","statement":3,"sqlstate":null,"rows":12,"bytes":345,"duration_us":6789}
{"type":"statement.completed","session":"S","statement":3,"sqlstate":"57014","rows":0,"bytes":0,"duration_us":1}
{"type":"statement.completed","session":"S","statement":3,"sqlstate":null,"rows":2,"bytes":34,"duration_us":5,"suspended":true}
{"type":"statement.outcome_unknown","session":"S","statement":3}
{"type":"statement.outcome_unknown","session":"S","statement":3,"rows":12,"bytes":345}
{"type":"stepup.requested","request":"7K4M-9QXD","session":"S","statement":3,"person":"dana","database":"app","approval":"self","itself":true,"groups":["security"],"count":1,"canonical_sha256":"ef","expires_us":1795318325000009}
{"type":"stepup.joined","request":"7K4M-9QXD","session":"S","statement":5}
{"type":"stepup.deferred","request":"7K4M-9QXD","session":"S","statement":5,"reason":"lapsed"}
{"type":"stepup.requested","request":"7K4M-9QXD","session":"S","statement":0,"person":"etl","database":"app","approval":"owners","itself":false,"groups":["owners"],"count":1,"canonical_sha256":"ef","expires_us":1795318325000009,"address":"192.0.2.7","opened_by":"dana","until_us":1795318325000009}
{"type":"stepup.escalated","request":"7K4M-9QXD","groups":["security"]}
{"type":"stepup.commented","request":"7K4M-9QXD","person":"lee","text":"which year?"}
{"type":"admin.delegated","person":"lee","to":"kim","groups":["owners"],"from_us":1795318325000009,"until_us":1795318326000009,"by":null}
{"type":"stepup.factor_verified","person":"dana","factor":"totp","step":59843944,"request":"7K4M-9QXD"}
{"type":"stepup.factor_verified","person":"dana","factor":"passkey","step":7,"request":"7K4M-9QXD","authenticator":"passkey-3f9a12bc","strength":"phishing-resistant"}
{"type":"stepup.factor_failed","person":"dana","factor":"totp","reason":"wrong","request":null}
{"type":"stepup.voted","request":"7K4M-9QXD","person":"lee","approve":false,"canonical_sha256":"ef"}
{"type":"stepup.voted","request":"7K4M-9QXD","person":"lee","approve":true,"canonical_sha256":"ef"}
{"type":"stepup.ended","request":"7K4M-9QXD","outcome":"approved","by":"dana","reason_hmac":"0102"}
{"type":"stepup.ended","request":"7K4M-9QXD","outcome":"expired","by":null,"reason_hmac":null}
{"type":"grant.issued","grant":"G","request":"7K4M-9QXD","person":"dana","database":"app","db_user":"app_rw","kinds":["select"],"uses":["output"],"relations":["public.customers"],"labels":["ssn"],"labels_bound":true,"class_rank":3,"output_rank":3,"action":"step-up","approval":"self","client":"psql","network":"192.0.2.7","session":null,"policy_sha256":"cd","expires_us":1795318325000009,"rows":500}
{"type":"grant.issued","grant":"G","request":"7K4M-9QXD","person":"etl","database":"app","kinds":["insert"],"uses":["write"],"relations":["public.customers"],"labels":["ssn"],"labels_bound":false,"class_rank":3,"output_rank":3,"action":"approve","approval":"owners","client":null,"network":null,"session":null,"policy_sha256":"cd","expires_us":1795318325000009,"sink":true,"statements":["0102"]}
{"type":"grant.debited","grant":"G","session":"S","statement":6,"rows":10,"bytes":1000}
{"type":"grant.credited","grant":"G","session":"S","statement":6,"rows":1,"bytes":10}
{"type":"limit.reached","session":"S","statement":6,"person":"dana","rows":1000,"bytes":10000,"next":100,"limit_rows":1000,"limit_bytes":null,"rules":["bulk"],"verdict":"hold"}
{"type":"limit.reached","session":"S","statement":6,"person":"dana","rows":40,"bytes":400,"next":100,"limit_rows":100,"limit_bytes":null,"limit_subjects":9,"limit_rule":"bulk","limit_per":"1h","rules":["bulk"],"verdict":"hold"}
{"type":"limit.counted","person":"dana","rule":"bulk","per":"1h","since_us":1795318325000009,"rows":125,"bytes":5000,"subjects":3}
{"type":"grant.debited","grant":"G","session":"S","statement":6,"rows":10,"bytes":1000,"subjects":2}
{"type":"limit.extended","session":"S","statement":6,"request":"7K4M-9QXD","grant":null}
{"type":"limit.enforced","session":"S","statement":6,"request":null,"sqlstate":"42501","rows":1000,"bytes":10000}
{"type":"pass.issued","pass":"G","request":"7K4M-9QXD","person":"dana","db_user":"app_rw","database":"app","key_hmac":"0102","kinds":["select"],"uses":["output"],"relations":["public.customers"],"labels":["ssn"],"class_rank":3,"output_rank":3,"exactly_known":true,"has_sink":false,"action":"step-up","approval":"self","policy_sha256":"cd","expires_us":1795318325000009}
{"type":"pass.issued","pass":"G","request":"7K4M-9QXD","person":"dana","db_user":"app_rw","database":"app","key_hmac":"0102","kinds":["select"],"uses":["output"],"relations":["public.customers"],"labels":["ssn"],"class_rank":3,"output_rank":3,"exactly_known":true,"has_sink":false,"action":"step-up","approval":"self","policy_sha256":"cd","expires_us":1795318325000009,"risk":20,"client":"psql","network":"192.0.2.7"}
{"type":"pass.consumed","pass":"G","request":"7K4M-9QXD","session":"S","statement":7}
{"type":"pass.lapsed","pass":"G","request":"7K4M-9QXD"}
{"type":"grant.revoked","grant":"G","by":"lee"}
{"type":"policy.loaded","policy_sha256":"cd","rules":4,"columns":12}
{"type":"policy.loaded","policy_sha256":"cd","rules":4,"columns":12,"map_sha256":"ef","policy_file_sha256":"0a"}
{"type":"policy.rejected","policy_sha256":"cd"}
{"type":"policy.proposed","policy_sha256":"cd"}
{"type":"policy.voted","policy_sha256":"cd","person":"dana"}
{"type":"policy.approved","policy_sha256":"cd"}
{"type":"policy.tampered","policy_sha256":"cd"}
{"type":"policy.released","policy_sha256":"cd"}
{"type":"config.loaded","config_sha256":"ce","databases":2}
{"type":"config.rejected","config_sha256":"ce"}
{"type":"places.loaded","places_sha256":"0b"}
{"type":"label.bound","database":"app","columns":12}
{"type":"label.followed","database":"app","from":"public.customers.ssn","to":"public.customers.number"}
{"type":"alarm.raised","session":"S","statement":8,"what":"unflagged-column","columns":["public.customers.ssn"]}
{"type":"catalog.drifted","database":"app","what":"new-column","columns":["public.customers.note"],"number":1}
{"type":"catalog.drifted","database":"app","what":"new-table","relations":["public.copy"],"number":1}
{"type":"admin.action","action":"user.added","person":"kim","by":null,"groups":["support"]}
{"type":"admin.action","action":"user.removed","person":"kim","by":"lee","groups":[]}
{"type":"admin.action","action":"user.password_set","person":"kim","by":"lee","groups":[]}
{"type":"admin.action","action":"factor.enrolled","person":"kim","by":"kim","groups":[]}
{"type":"admin.action","action":"factor.removed","person":"kim","by":"lee","groups":[]}
{"type":"admin.action","action":"session.killed","person":"kim","by":null,"groups":[]}
{"type":"admin.action","action":"session.killed","person":"kim","by":null,"groups":[],"session":"S"}
{"type":"admin.login","person":"lee","address":"192.0.2.8"}
{"type":"audit.exported","records":12}
{"type":"integrity.checked","records":12,"ok":true}
{"type":"stepup.ended","request":"7K4M-9QXD","outcome":"denied","by":"lee","reason_hmac":null,"reason":"use the extract"}
{"type":"stepup.challenge_shown","request":"7K4M-9QXD","to":"lee"}
{"type":"grant.expired","grant":"G"}
{"type":"break_glass.opened","grant":"G","person":"dana","database":"app","client":"psql","network":"192.0.2.7","reason":"outage","authenticator":"passkey-3f9a12bc","canonical_sha256":"ef","expires_us":1795318325000009,"lifts":["denied"]}
{"type":"break_glass.opened","grant":"G","person":"dana","database":null,"client":"psql","network":"192.0.2.7","reason":"outage","authenticator":"passkey-3f9a12bc","canonical_sha256":"ef","expires_us":1795318325000009}
{"type":"break_glass.used","grant":"G","session":"S","statement":6}
{"type":"break_glass.ended","grant":"G","why":"expired","uses":3,"by":null}
{"type":"break_glass.reminded","grant":"G"}
{"type":"break_glass.reviewed","grant":"G","by":"lee","comment":"in order"}
{"type":"audit.exported","records":3,"export":{"filter":"{}","format":"csv","id":"ab","redacted":true},"operator":"uid:1000"}
{"type":"audit.export_sealed","export":"ab","manifest_sha256":"cd","signed":true}
{"type":"audit.checkpoint_signed","size":12,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","name":"file","kind":"file"}
{"type":"audit.read","how":"search","filter":"{}","records":3,"operator":"uid:1000"}
{"type":"clock.anomaly","before_us":1795318325000009,"after_us":1795318325000001}
{"type":"record.continued","part":1,"parts":1,"field":"relations","values":["public.customers"]}
{"type":"integrity.failed","first":0,"end":9,"place":"records"}
{"type":"store.degraded","what":"sink","name":"siem"}
{"type":"store.recovered","what":"sink","name":"siem"}
{"type":"log.sealed","first":0,"end":65536,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","bytes":1000}
{"type":"log.backed_up","size":12,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"}
{"type":"log.backed_up","size":12,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","operator":"uid:1000"}
{"type":"log.restored","size":12,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"}
{"type":"retention.pruned","first":0,"end":65536,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","bytes":1000,"policy":"keep 2200d"}
{"type":"retention.pruned","first":0,"end":65536,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","bytes":1000,"policy":"keep 2200d","operator":"uid:1000"}
{"type":"retention.subject_shredded","kind":"person","commit":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c","records":3}
{"type":"retention.subjects_resealed","epoch":2,"subjects":3}
{"type":"retention.subjects_pruned","subjects":3}
{"type":"key.rotated","old":"a","new":"b","n":1}
{"type":"witness.cosigned","witness":"w","size":12,"root":"5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c"}
{"type":"sink.configured","name":"siem","kind":"syslog","cursor":7}
{"type":"sink.failed","name":"siem","kind":"syslog","cursor":7,"reason":"refused"}
{"type":"sink.recovered","name":"siem","kind":"syslog","cursor":7}
{"type":"sink.reset","name":"siem","kind":"syslog","cursor":3,"operator":"uid:1000"}
{"type":"identity.login","person":"dana","account":"00u1a2b3","address":"192.0.2.7"}
{"type":"identity.login","person":null,"account":"00u1a2b4","address":"192.0.2.7","refused":"taken"}
{"type":"identity.linked","person":"dana","source":"oidc","account":"00u1a2b3","by":null,"operator":"uid:1000"}
{"type":"identity.unlinked","person":"dana","source":"oidc","account":"00u1a2b3","by":null}
{"type":"identity.groups","person":"dana","source":"oidc","groups":["analysts"],"until_us":1795318325000009,"left_out":2}
{"type":"identity.groups","person":"dana","source":"ldap","groups":[],"until_us":1795318325000009}
{"type":"password.minted","person":"dana","password":"3f9a12bc","until_us":1795318325000009,"method":"oidc","address":"192.0.2.7"}
{"type":"password.revoked","person":"dana","password":"3f9a12bc","reason":"logout","by":"dana"}
{"type":"password.expired","person":"dana","password":"3f9a12bc"}
"#;

/// One of each type, and more where they differ, as they stand in logs.
pub(crate) fn texts() -> Vec<String> {
    let id = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b";
    let others = OTHERS.replace("\"S\"", &format!("\"{id}\"")).replace("\"G\"", "\"0b0b0b0b0b0b0b0b\"");
    let mut texts: Vec<String> = others.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    for verdict in ["hold", "forward", "defer", "deny", "monitor", "overtaken"] {
        texts.push(STATEMENT.replace("\"hold\"", &format!("\"{verdict}\"")));
    }
    texts.extend([
        STATEMENT.replace("\"hold\"", "\"deny\",\"refusal\":\"not-own-session\""),
        STATEMENT.replace("\"hold\"", "\"fail\",\"refusal\":\"catalog-unknown\""),
        STATEMENT.replace("\"hold\"", "\"fail\""),
        STATEMENT.replace("\"policy_sha256\"", &format!("{MORE},\"policy_sha256\"")),
    ]);
    texts
}

pub(crate) fn all() -> Vec<Event> {
    texts().iter().map(|text| serde_json::from_str(text).expect(text)).collect()
}

//! A gate that says all it can to all that can be told, and the workload played through it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use stepgate_testkit::{Person, until, until_some};

use crate::hunt::{KEY, Leaks, MARK, NUMBER, OPERATOR, ROW, SAID, SHORT, STRANGER};
use crate::lake::Lake;
use crate::others::{self, Browser};
use crate::running::Running;
use crate::support::{SOON, World, connects_as, frames, raw, repository};

/// Rows that are there before anybody comes through the gate.
const ROWS: &str = "
insert into customers values (KEY, 'ROW name', 'ROW@example.test', 'ROW phone', 'ROW ssn', 'ROW street', 'ROW city', 'DE',
    '2000-01-01', '2026-01-01', 'ROW');
insert into orders values (900001, KEY, 'ROW', 7, '2026-01-01');
insert into payments values (900001, 900001, KEY, 'ROW card', 'ROW iban', NUMBER, 'EUR', '2026-01-01');
create table notes (id bigint primary key, note text unique, code text not null, check (id <> -1));
insert into notes values (1, 'ROW note', 'ROW code');
create table codes (code text);
insert into codes values ('ROW code');
create table shown (note text, fails int);
create function shows() returns trigger language plpgsql as $$ begin
    raise notice 'row %', new.note;
    if new.fails = 0 then raise exception 'no %', new; end if;
    return new;
end $$;
create trigger shows before insert on shown for each row execute function shows();
grant all on notes, codes, shown to stepgate_analyst;
-- What is made there has a name that the catalog knows (PostgreSQL 14 and before let everybody make something).
revoke create on schema public from public;
";

/// Also what a limit counts, and what is told by keys and thresholds.
fn policies(world: &World) {
    let policies = repository().join("policies");
    let read = |name: &str| fs::read_to_string(policies.join(name)).unwrap();
    let replaced = |text: String, changes: &[(&str, &str)]| {
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "no {from}");
            text.replace(from, to)
        })
    };
    // What cannot be understood is denied rather than asked about: four statements are held, and no more.
    let map = replaced(
        read("pii-map.yaml"),
        &[
            (": step-up", ": deny"),
            ("      subject_key: id          #", "      subject_key: id\n      track_subjects: true     #"),
            ("# threshold: {amount: [10000, 30000]}", "threshold: {amount: [10000, 30000]}"),
            (
                "    public.products: {}",
                "    public.products: {}\n    public.notes: {columns: {}, subject_key: code, track_subjects: true}",
            ),
        ],
    );
    let policy = replaced(
        read("policy.yaml"),
        &[("    strength: standard      # a TOTP", "    strength: weak # a TOTP")],
    );
    let brake = "
  - name: brake
    match: {class: confidential, use: [output]}
    action: monitor
    approval: self
    limit: {subjects: 10000, rows: 1000000, per: 1h}
";
    world.gate.policies(&map, &(policy + brake)).unwrap();
}

/// What the gate tells, and to whom. Of each form of sink, one has names and one has not.
fn configuration(world: &World, lake: &Lake, figures: SocketAddr) {
    let secret = world.secret("lake.secret", "a secret of this test\n");
    let secret = secret.display();
    let slack = world.secret("slack.url", &lake.url("/slack"));
    let out = world.tree.path().join("out");
    fs::create_dir_all(out.join("checkpoints")).unwrap();
    let disk = |form: &str, names: &str| {
        format!(
            "    {form}-{names}: {{file: {}/{form}-{names}, format: {form}, names: {names}}}\n",
            out.display()
        )
    };
    let disks: String = ["jsonl", "cef", "ocsf"]
        .iter()
        .flat_map(|form| ["open", "commit"].map(|names| disk(form, names)))
        .collect();
    let letter = |to: &str| format!("{{{to}from: gate@gate.example, smtp: \"{}\", tls: none}}", lake.mail);
    world.audit(&format!(
        "  track_subjects: true\n  sinks:\n{disks}    \
         lake: {{webhook: \"{}\", secret_file: {secret}, format: ocsf, names: commit}}\n    \
         siem: {{syslog: \"localhost:{}\", ca: ca.pem}}\n  \
         checkpoints: [{{file: {}/checkpoints, every: 1s}}, {{webhook: \"{}\", secret_file: {secret}, every: 1s}}, \
         {{email: {}, every: 1s}}]",
        lake.url("/in"),
        lake.syslog.port(),
        out.display(),
        lake.url("/checkpoints"),
        letter("to: auditor@elsewhere.example, "),
    ));
    world.configure(&format!(
        "metrics: {{listen: {figures}}}\n\
         factors:\n  email: {}\n  sms: {{webhook: \"{}\", secret_file: {secret}}}\n\
         notify:\n  hook: {{webhook: \"{}\", secret_file: {secret}}}\n  chat: {{slack_file: {}}}\n  mail: {{email: {}}}",
        letter(""),
        lake.url("/sms"),
        lake.url("/hook"),
        slack.display(),
        letter("to: owners@corp.example, "),
    ));
}

/// Everything that runs, once the workload is over.
pub(crate) struct Played {
    pub(crate) world: World,
    pub(crate) lake: Lake,
    pub(crate) figures: SocketAddr,
    pub(crate) dana: Person,
    pub(crate) olga: Person,
    pub(crate) kim: Person,
    /// The requests that were held.
    pub(crate) requests: Vec<String>,
}

impl Played {
    /// Plays it; what others see meanwhile is looked at.
    pub(crate) fn new(leaks: &mut Leaks) -> Self {
        let figures = stepgate_testkit::free_address().unwrap();
        let mut world = World::not_serving(|text| text);
        let rows = [("ROW", ROW), ("KEY", KEY), ("NUMBER", NUMBER)];
        let rows = rows.iter().fold(ROWS.to_owned(), |sql, (name, mark)| sql.replace(name, mark));
        world.cluster.load("shop", &rows).unwrap();
        let [cert, key, _] = world.certificate();
        let lake = Lake::new(&cert, &key);
        policies(&world);
        configuration(&world, &lake, figures);
        world.gate.serve_through("STEPGATE_LOG=trace exec \"$@\"").unwrap();
        let (mut dana, olga) = (world.dana(), world.olga());
        let kim = world.person("kim", "analysts");
        enrol(&world, &mut dana, &lake, "sms", "+14155550123");
        enrol(&world, &mut dana, &lake, "email", "dana@corp.example");
        let mut this = Self { world, lake, figures, dana, olga, kim, requests: Vec::new() };
        this.play(leaks);
        this.call_functions();
        this.store_large_objects();
        others::strangers(&this.world);
        this.world.delivered();
        this
    }

    fn play(&mut self, leaks: &mut Leaks) {
        let mut command = Command::new("python3");
        let psycopg = repository().join(".work/psycopg");
        if psycopg.exists() {
            command.env("PYTHONPATH", psycopg);
        }
        let marks = [("MARK", MARK), ("NUMBER", NUMBER), ("ROW", ROW), ("KEY", KEY), ("SAID", SAID)];
        let mut child = connects_as(&mut command, &self.world, &self.dana)
            .arg(repository().join("tests/clients/marked.py"))
            .envs(marks)
            .envs([("STRANGER", STRANGER), ("SHORT", SHORT), ("OPERATOR", OPERATOR)])
            .spawn()
            .unwrap();
        let (kim, olga) = (Browser::of(&self.world, &self.kim), Browser::of(&self.world, &self.olga));
        for number in 0..4 {
            let open = || open_requests(&self.world).pop();
            let request = until_some("the next held statement, or the end", SOON * 3, || {
                open().map(Some).or_else(|| child.try_wait().unwrap().map(|_| None))
            });
            let Some(request) = request.unwrap() else { break };
            kim.looks(leaks, &request, "while it waits");
            match number {
                // Hers to answer alone: whoever approves others' sees nothing of it, either.
                0 => {
                    olga.looks(leaks, &request, "while it waits for its own person");
                    self.verify(&request, "sms");
                }
                1 => self.verify(&request, "email"),
                2 => {
                    // By design: what somebody approves, they have to read.
                    let read = olga.get(&format!("/r/{request}"));
                    assert!(read.contains(MARK), "who is asked does not see what for: {read}");
                    self.answer("deny", &request);
                }
                _ => self.answer("approve", &request),
            }
            let over = || !open_requests(&self.world).contains(&request);
            until("the request's end", SOON, over).unwrap();
            self.requests.push(request);
        }
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.lines().any(|line| line == "ok"), "{said}");
        assert_eq!(self.requests.len(), 4);
    }

    fn verify(&self, request: &str, method: &str) {
        let sent = codes(&self.lake);
        let command = ["verify", request, "--method", method, "--as", "dana"];
        let mut verify = Running::start(&self.world.gate, &command);
        assert!(verify.line().starts_with("a code was sent to "));
        verify.type_in(&code(&self.lake, &sent));
        assert_eq!(verify.ended(), 0);
    }

    fn answer(&mut self, verb: &str, request: &str) {
        let reason = format!("because {SAID}");
        self.olga.answer(&self.world.gate, verb, request, &reason).unwrap().ok().unwrap();
    }

    /// FunctionCall, which no driver of these days sends: of reverse(), and of pg_size_bytes(), which cannot read it.
    fn call_functions(&self) {
        let runtime = raw::runtime();
        let how = raw::config(&self.world, &self.dana);
        let mut session = runtime.block_on(raw::session(&how)).unwrap();
        let mut call = |oid, values: &[&str]| {
            frames::send(&runtime, &mut session, &frames::call(oid, values));
            frames::until_tag(&runtime, &mut session, b'Z')
        };
        let reversed = call(3062, &[&MARK.chars().rev().collect::<String>()]);
        assert!(
            reversed.iter().any(|(tag, body)| *tag == b'V' && body.ends_with(MARK.as_bytes())),
            "{reversed:?}"
        );
        let failed = frames::error(&call(3334, &[MARK])).unwrap();
        assert!(failed.1.contains(MARK), "{failed:?}");
    }

    /// As psql does it, by calls of functions with pieces of the file.
    fn store_large_objects(&self) {
        let file = self.world.tree.path().join(format!("{MARK}.file"));
        let content = format!("{ROW} {NUMBER}\n").repeat(2_000);
        fs::write(&file, &content).unwrap();
        let mut psql = self.world.psql(&self.dana);
        // psql says nothing of what it has done by calls.
        let mut run = |command: &str| psql.run(command).unwrap().text();
        assert_eq!(run(&format!("\\lo_import {} '{MARK}'", file.display())), "");
        let listed = run("\\lo_list");
        assert!(listed.contains(MARK), "{listed}");
        fs::remove_file(&file).unwrap();
        assert_eq!(run(&format!("\\lo_export :LASTOID {}", file.display())), "");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
        assert_eq!(run("\\lo_unlink :LASTOID"), "");
        fs::remove_file(file).unwrap();
    }
}

fn enrol(world: &World, dana: &mut Person, lake: &Lake, method: &str, to: &str) {
    let sent = codes(lake);
    let mut enrol = Running::start(&world.gate, &["enroll", method, to, "--as", "dana"]);
    enrol.type_in(&dana.code().unwrap());
    assert!(enrol.line().starts_with("a code was sent to "));
    enrol.type_in(&code(lake, &sent));
    assert_eq!(enrol.ended(), 0);
}

/// All codes that were sent.
fn codes(lake: &Lake) -> Vec<String> {
    let is_code = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit());
    let told = ["/sms", "mail"].map(|place| String::from_utf8(lake.taken.at(place)).unwrap());
    let words = told.iter().flat_map(|told| told.split(['"', ' ', '\r', '\n']));
    words.filter(is_code).map(str::to_owned).collect()
}

/// The code that is sent after those.
fn code(lake: &Lake, sent: &[String]) -> String {
    until_some("the code", SOON, || codes(lake).into_iter().find(|code| !sent.contains(code))).unwrap()
}

fn open_requests(world: &World) -> Vec<String> {
    let list = world.gate.run(["request", "ls", "--operator", "-o", "json"], "").unwrap().ok().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
    rows.iter().map(|row| row["request"].as_str().unwrap().to_owned()).collect()
}

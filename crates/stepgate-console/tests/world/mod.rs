//! The API on a real listener, over a real store: dana and eve are analysts, omar owns data, etl is a
//! service.

#![allow(clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod browser;
mod document;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stepgate_approval::{Ahead, Ask, Because, Dialect, Held, Mode, Scope, Terms};
use stepgate_console::oidc::Oidc;
use stepgate_console::{
    Api, Encryption, Entrance, Foresee, Foreseen, KeptPolicies, Minting, Observed, Parts, PolicyTexts,
    Proxies, Wish, serve,
};
use stepgate_passkey::{PasskeyFactor, Site};
use stepgate_store::{Desk, Log, LogOptions, NewPerson, People, Vault, Waiting};
use stepgate_testkit::{Authenticator, FakeClock, FakeEntropy};
use stepgate_types::{
    Action, Clock, Kind, Label, Limit, PersonName, RelationName, RequestId, SessionId, StatementId, Strength,
    Use,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use zeroize::Zeroizing;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Where passkeys of these tests belong.
pub(crate) const SITE: &str = "https://gate.example";

/// What dana asks for.
pub(crate) const SQL: &str = "select * from customers where ssn = '078-05-1120' \u{202E}";

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) people: People,
    pub(crate) desk: Desk,
    pub(crate) log: Log,
    pub(crate) document: document::Document,
    asked: std::sync::atomic::AtomicU8,
    _dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// A gate that lacks nothing.
struct Fine;

impl Observed for Fine {
    fn metrics(&self) -> String {
        "stepgate_sessions 0\n".to_owned()
    }

    fn lacks(&self) -> Option<&'static str> {
        None
    }
}

/// It foresees what `etl` asks for, and nothing else: that is the gate's, with a database behind it.
struct Foreseeing(Arc<FakeClock>);

impl Foresee for Foreseeing {
    fn foresee<'a>(&'a self, by: &'a PersonName, wish: &'a Wish) -> Foreseen<'a> {
        let (mut ask, held) = asked(&self.0, 200, false, &wish.statements.join(";"), Strength::Standard);
        ask.person = wish.service.clone();
        ask.mode = Mode::Ahead;
        let until = self.0.now().plus(Duration::from_secs(200));
        ask.ahead = Some(Ahead { by: by.clone(), until, statements: BTreeSet::from([[7; 32]]) });
        let known = wish.service.as_str() == "etl";
        Box::pin(std::future::ready(if known { Ok((ask, held)) } else { Err("no such service".to_owned()) }))
    }

    fn mentions(&self, person: &PersonName) -> bool {
        person.as_str() == "named-in-rules"
    }
}

/// The hash of what is in force.
pub(crate) const IN_FORCE: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

/// It keeps whatever is asked for but what begins with `00`; what begins with `11` is very long.
struct Kept;

impl KeptPolicies for Kept {
    fn in_force(&self) -> String {
        IN_FORCE.to_owned()
    }

    fn texts(&self, policy_sha256: &str) -> Option<PolicyTexts> {
        let rules = match policy_sha256.get(..2) {
            Some("00") => return None,
            Some("11") => (0..20_000).map(|n| format!("# {n}\n")).collect(),
            Some("f0") => "version: 1\ndefaults: {action: deny}\n".to_owned(),
            _ => "version: 1\ndefaults: {action: allow} # \u{202E}<b>ynd</b>\n".to_owned(),
        };
        let (policy_sha256, map) = (policy_sha256.to_owned(), "version: 1\n".to_owned());
        Some(PolicyTexts { policy_sha256, map, rules })
    }
}

pub(crate) fn name(text: &str) -> PersonName {
    text.parse().unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at("").await
    }

    /// The same under another address.
    pub(crate) async fn at(url: &str) -> Self {
        Self::with(url, |_| None).await
    }

    /// The same where people log in at a provider, made for the address of its callback and the gate's clock.
    pub(crate) async fn with(
        url: &str,
        oidc: impl FnOnce((&str, &Arc<FakeClock>)) -> Option<Arc<Oidc>>,
    ) -> Self {
        Self::configured((Proxies::default(), false), url, oidc).await
    }

    /// The same behind proxies, or where nobody reads what others ask in a login by a password alone.
    pub(crate) async fn configured(
        (proxies, proven_readers): (Proxies, bool),
        url: &str,
        oidc: impl FnOnce((&str, &Arc<FakeClock>)) -> Option<Arc<Oidc>>,
    ) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(FakeClock::default()));
        let entropy = Arc::new(FakeEntropy::seeded(1));
        let vault = Vault::new(&Zeroizing::new([7; 32]), entropy.clone());
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            vault: vault.clone(),
        };
        let (log, _) = Log::open(dir.path(), options).unwrap();
        let people = People::open(&log, &vault).unwrap();
        let desk =
            Desk::open(log.clone(), people.clone(), people.factors(), vault, clock.clone(), entropy.clone())
                .unwrap();
        desk.plug(Arc::new(PasskeyFactor::new(Site::of(SITE).unwrap(), None)));
        for (person, group, service) in [
            ("dana", "analysts", false),
            ("eve", "analysts", false),
            ("omar", "data-owners", false),
            ("etl", "services", true),
        ] {
            let groups = vec![group.parse().unwrap()];
            let new = NewPerson { name: name(person), groups, service, password: PASSWORD };
            people.add(new, None).await.unwrap();
            if !service {
                people.factors().enrol_totp(&name(person), &secret(person), None).await.unwrap();
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = if url.is_empty() { format!("http://{address}") } else { url.to_owned() };
        let oidc = oidc((&format!("{url}/oidc/callback"), &clock));
        let parts = Parts {
            desk: desk.clone(),
            people: people.clone(),
            log: log.clone(),
            clock: clock.clone(),
            entropy,
            observed: Arc::new(Fine),
            oidc,
            minting: Minting {
                life: Duration::from_secs(8 * 3600),
                entrance: Entrance { port: 6432, databases: vec!["shop".to_owned()], tls: true },
            },
            url,
            proxies,
            proven_readers,
            foresee: Arc::new(Foreseeing(clock.clone())),
            policies: Arc::new(Kept),
        };
        let (_, plain) = tokio::sync::watch::channel(Encryption::Plain);
        tokio::spawn(serve(Api::new(parts), listener, plain, std::future::pending()));
        Self {
            address,
            clock,
            people,
            desk,
            log,
            document: document::Document::default(),
            asked: 0.into(),
            _dir: dir,
        }
    }

    /// One request, byte for byte, on a connection of its own.
    pub(crate) async fn raw(&self, asked: &str) -> Answer {
        self.raw_from([127, 0, 0, 1], asked).await
    }

    /// The same from another address of this machine's.
    pub(crate) async fn raw_from(&self, from: [u8; 4], asked: &str) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        // A body that is too large is not read to its end.
        let _ = stream.write_all(asked.as_bytes()).await;
        let first_line = asked.lines().next().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes).await;
        assert!(ended.is_ok() || !bytes.is_empty(), "{ended:?}");
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head.to_ascii_lowercase();
        // Refused by HTTP itself, before the API has seen it.
        if let Some((method, path)) = first_line.split(' ').next().zip(first_line.split(' ').nth(1)) {
            let sent = asked.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            self.document.check((method, path, sent), status, &head, body);
        }
        Answer { status, head, body: body.to_owned() }
    }

    /// One request with these headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut text = format!(
            "{} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            method.to_ascii_uppercase(),
            self.address
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.raw(&format!("{text}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    /// The head of a stream of events.
    pub(crate) async fn events(&self, token: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let ask =
            format!("GET /api/v1/events HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"retry: 5000\n\n\r\n") && !bytes.ends_with(b"}") {
            let mut chunk = [0; 1024];
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the stream ended: {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&chunk[..read]);
        }
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head.to_ascii_lowercase();
        self.document.check(("get", "/api/v1/events", ""), status, &head, body);
        Answer { status, head, body: body.to_owned() }
    }

    /// Asks until this network has asked too often.
    pub(crate) async fn exhaust(&self) {
        let limited = (0..5000).map(|_| self.get("/healthz", ""));
        for asked in limited {
            if asked.await.status == 429 {
                return;
            }
        }
        panic!("nobody is ever told to wait");
    }

    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        headers.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
        self.send(method, path, &headers, &body).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call("POST", path, token, Some(body)).await
    }

    pub(crate) async fn try_login(&self, person: &str, password: &str) -> Answer {
        self.post("/api/v1/login", "", serde_json::json!({"name": person, "password": password})).await
    }

    pub(crate) async fn login(&self, person: &str) -> String {
        let answer = self.try_login(person, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn code(&self, person: &str) -> String {
        let secret = stepgate_approval::Secret::from_bytes(&secret(person)).unwrap();
        let uri = secret.otpauth_uri(&name(person));
        Authenticator::enrol(&uri).unwrap().code_at(self.clock.now().unix_seconds())
    }

    /// Dana's own step-up.
    pub(crate) async fn step_up(&self) -> Waiting {
        self.ask(true).await
    }

    /// Dana's request that data-owners must approve.
    pub(crate) async fn approval(&self) -> Waiting {
        self.ask(false).await
    }

    async fn ask(&self, itself: bool) -> Waiting {
        self.ask_for(itself, SQL, Strength::Standard).await
    }

    /// A request of dana's for that statement: her own, or one for data-owners.
    pub(crate) async fn ask_for(&self, itself: bool, sql: &str, strength: Strength) -> Waiting {
        let number = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let (ask, held) = asked(&self.clock, number, itself, sql, strength);
        self.desk.ask(ask, held).await.unwrap()
    }
}

/// What stands behind an EXECUTE of dana's.
pub(crate) const PREPARED: &str = "prepare p as select ssn from customers";

/// A request of dana's for that statement.
fn asked(clock: &FakeClock, number: u8, itself: bool, sql: &str, strength: Strength) -> (Ask, Held) {
    let groups = if itself { BTreeSet::new() } else { BTreeSet::from(["data-owners".parse().unwrap()]) };
    let ask = Ask {
        id: RequestId::from_bytes([number; 5]),
        statement: StatementId { session: SessionId::from_bytes([u8::from(itself); 16]), number: 1 },
        person: name("dana"),
        db_user: "analyst".to_owned(),
        address: IpAddr::from([192, 0, 2, 7]),
        client: "psql".to_owned(),
        database: "shop".to_owned(),
        kinds: BTreeSet::from([Kind::Select]),
        uses: BTreeSet::from([Use::Output]),
        relations: BTreeSet::from([RelationName::new("public", "customers")]),
        objects: BTreeSet::new(),
        labels: BTreeSet::from([Label::new("ssn")]),
        class_rank: 3,
        output_rank: 3,
        exactly_known: true,
        has_sink: false,
        action: if itself { Action::StepUp } else { Action::Approve },
        rules: vec!["restricted-read".to_owned()],
        mode: Mode::Hold,
        limit: Limit::NONE,
        summary: "Reads public.customers.ssn (restricted).".to_owned(),
        policy_sha256: "ab".repeat(32),
        terms: Terms {
            approval: if itself { "self" } else { "data-owners" }.to_owned(),
            itself,
            groups,
            count: 1,
            strength,
            reason_required: !itself,
            remember: itself.then_some(Duration::from_secs(900)),
            scope: Scope { client: true, network: true, session: false, labels: false },
            sink: false,
            escalate: None,
        },
        opened: clock.now(),
        expires: clock.now().plus(Duration::from_secs(300)),
        ahead: None,
        because: Because {
            estimate: Some(5),
            why: vec!["restricted-read: class".to_owned()],
            risk: vec![("new_network".to_owned(), 30)],
        },
    };
    let held = Held {
        sql: sql.as_bytes().to_vec(),
        behind: sql.starts_with("execute").then(|| PREPARED.as_bytes().to_vec()).into_iter().collect(),
        parameters: vec![Some(b"42".to_vec()), None],
        formats: vec![0, 0],
        types: vec![23, 0],
        dialect: Dialect::default(),
    };
    (ask, held)
}

/// Everybody's secret is made of their name.
fn secret(person: &str) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes.iter_mut().zip(person.bytes().cycle()).for_each(|(to, from)| *to = from);
    bytes
}

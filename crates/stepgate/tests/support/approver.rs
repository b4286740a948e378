//! Somebody at the API, each with a connection of their own; who approves has a security key: codes of an app are few.
#![allow(clippy::indexing_slicing, reason = "of JSON: what is not there is null")]

use std::sync::Arc;

use serde_json::{Value, json};
use stepgate_testkit::{Person, SecurityKey};

use super::World;

/// A login at the API.
#[derive(Clone)]
pub(crate) struct Caller {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Caller {
    /// Somebody who is not logged in yet.
    pub(crate) fn stranger(world: &World) -> Self {
        let pem = std::fs::read(world.gate.ca()).unwrap();
        let roots = vec![ureq::tls::Certificate::from_pem(&pem).unwrap()];
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)));
        let config = ureq::Agent::config_builder().tls_config(tls.build()).http_status_as_error(false);
        let base = format!("https://{}/api/v1", world.gate.console());
        Self { agent: config.proxy(None).build().into(), base, token: String::new() }
    }

    /// Somebody who has logged in.
    pub(crate) fn of(world: &World, person: &Person) -> Self {
        let mut this = Self::stranger(world);
        this.log_in(person.name(), person.password());
        this
    }

    /// The same login over a connection of its own.
    pub(crate) fn besides(&self, world: &World) -> Self {
        Self { token: self.token.clone(), ..Self::stranger(world) }
    }

    fn log_in(&mut self, name: &str, password: &str) {
        let login = self.post("login", &json!({"name": name, "password": password}));
        login["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// Status and answer; nothing, where the gate was not there to the end.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}/{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.header("content-type", "application/json").send(body.to_string()).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).ok()?))
    }

    /// What there is.
    pub(crate) fn get(&self, path: &str) -> Value {
        let request = self.agent.get(format!("{}/{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let text = request.call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What is answered where it is done.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_post(path, body).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// Who approves with a security key.
pub(crate) struct Approver {
    pub(crate) caller: Caller,
    person: Person,
    key: SecurityKey,
}

impl Approver {
    /// One of the owners of data, with the key of that number, before a page of `origin`.
    pub(crate) fn enrolled(world: &World, number: usize, origin: &str) -> Self {
        let mut person = Person::add(&world.gate, &format!("owner{number}"), "data-owners").unwrap();
        let mut key = SecurityKey::new(u64::try_from(number).unwrap() + 1, origin).unwrap();
        let caller = Caller::of(world, &person);
        let operators = world.gate.run(["user", "enroll-code", person.name()], "").unwrap().ok().unwrap();
        let proof = json!({"code": person.code().unwrap()});
        let wish = json!({"name": "Key ring", "enrolment_code": operators.trim(), "proof": proof});
        let made = key.create(&caller.post("factors/passkey", &wish)).unwrap();
        caller.post("factors/passkey/confirm", &json!({"proof": {"passkey": made}}));
        Self { caller, person, key }
    }

    /// Logs in once more: a gate that was started anew knows no login.
    pub(crate) fn comes_back(&mut self, world: &World) {
        self.caller = Caller::of(world, &self.person);
    }

    /// What approves that request: the body of the call.
    pub(crate) fn signed(&mut self, request: &str) -> Value {
        let wanted = json!({"method": "passkey", "approve": true});
        let challenge = self.caller.post(&format!("requests/{request}/challenge"), &wanted);
        let passkey = self.key.get(&challenge["shown"]).unwrap();
        let proof = json!({"challenge": challenge["challenge"], "passkey": passkey});
        json!({"proof": proof, "reason": "ticket 4711"})
    }
}

//! What people see in the console who are no part of it, or no longer; and what strangers send there.

use std::sync::Arc;

use stepgate_testkit::Person;

use crate::hunt::{Leaks, STRANGER};
use crate::played::Played;
use crate::support::World;

/// Somebody before the pages and the API, logged in at both.
pub(crate) struct Browser {
    agent: ureq::Agent,
    base: String,
    name: String,
    cookie: String,
    token: String,
}

impl Browser {
    /// Nobody yet.
    fn new(world: &World) -> Self {
        let pem = std::fs::read(world.gate.ca()).unwrap();
        let roots = vec![ureq::tls::Certificate::from_pem(&pem).unwrap()];
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)));
        let config = ureq::Agent::config_builder().tls_config(tls.build()).http_status_as_error(false);
        let agent = config.max_redirects(0).proxy(None).build().into();
        let [name, cookie, token] = [const { String::new() }; 3];
        Self { agent, base: world.gate.url(), name, cookie, token }
    }

    /// Somebody who has logged in.
    pub(crate) fn of(world: &World, person: &Person) -> Self {
        let mut this = Self::new(world);
        person.name().clone_into(&mut this.name);
        let form = format!("name={}&password={}", person.name(), person.password());
        let answer = this.log_in(&form);
        let cookie = answer.headers().get("set-cookie").unwrap().to_str().unwrap();
        cookie.split(';').next().unwrap().clone_into(&mut this.cookie);
        let login = serde_json::json!({"name": person.name(), "password": person.password()});
        let answer = this.post("/api/v1/login", &login.to_string());
        let login: serde_json::Value = serde_json::from_str(&answer).unwrap();
        login["token"].as_str().unwrap().clone_into(&mut this.token);
        this
    }

    fn log_in(&self, form: &str) -> ureq::http::Response<ureq::Body> {
        let request = self.agent.post(format!("{}/login", self.base));
        let request = request.header("origin", "null").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send(form).unwrap()
    }

    fn post(&self, path: &str, body: &str) -> String {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("content-type", "application/json");
        request.send(body).unwrap().body_mut().read_to_string().unwrap()
    }

    /// A page, or what the API says, whatever that is; with its headers.
    pub(crate) fn get(&self, path: &str) -> String {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = if path.starts_with("/api/") {
            request.header("authorization", format!("Bearer {}", self.token))
        } else {
            request.header("cookie", &self.cookie)
        };
        let mut answer = request.call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        format!("{} {:?}\n{text}", answer.status(), answer.headers())
    }

    /// Everything that can be looked at, of that request where it is of one.
    fn seen(&self, request: &str) -> Vec<(String, String)> {
        let routes = stepgate_console::paths().into_iter().filter(|(method, path, _)| {
            // The stream of events does not end; what it says of a request is in the list, too.
            *method == "get" && *path != "/api/v1/events"
        });
        let path = |path: &str| {
            let path = path.replace("{id}", request).replace("{number}", "1").replace("{name}", &self.name);
            assert!(!path.contains('{'), "{path}");
            path
        };
        routes.map(|(_, route, _)| path(route)).map(|path| (self.get(&path), path)).collect()
    }

    /// Hunts in all that they see who have no part in it.
    pub(crate) fn looks(&self, leaks: &mut Leaks, request: &str, when: &str) {
        let seen = self.seen(request);
        assert!(seen.iter().filter(|(said, _)| said.starts_with("200")).count() > 10, "{seen:?}");
        for (said, path) in seen {
            leaks.hunt(&format!("{path} for {}, {when}", self.name), said);
        }
    }
}

/// Once a request is over, what it held is gone for everybody; why it was answered so is left.
pub(crate) fn afterwards(played: &Played, leaks: &mut Leaks) {
    let [dana, olga, kim] =
        [&played.dana, &played.olga, &played.kim].map(|person| Browser::of(&played.world, person));
    for request in &played.requests {
        for person in [&dana, &olga] {
            for (said, path) in person.seen(request) {
                leaks.hunt_open(&format!("{path} for {}, afterwards", person.name), said);
            }
        }
    }
    kim.looks(leaks, &played.requests[3], "afterwards");
}

/// Whoever comes to the console without being known there.
pub(crate) fn strangers(world: &World) {
    let nobody = Browser {
        token: STRANGER.to_owned(),
        cookie: format!("__Host-stepgate={STRANGER}"),
        ..Browser::new(world)
    };
    let login = serde_json::json!({"name": STRANGER, "password": STRANGER, "code": STRANGER});
    nobody.post("/api/v1/login", &login.to_string());
    nobody.post("/api/v1/login/code", &login.to_string());
    nobody.post("/api/v1/login", &format!("{STRANGER} is no JSON"));
    nobody.post(&format!("/api/v1/{STRANGER}"), "{}");
    nobody.log_in(&format!("name={STRANGER}&password={STRANGER}&request={STRANGER}"));
    nobody.log_in(&format!("{STRANGER}=%ff&&{STRANGER}"));
    for path in
        ["/", "/api/v1/me", "/r/", "/api/v1/requests/", "/oidc/callback?state=", "/login?", "/nowhere/"]
    {
        let path = if path.ends_with('/') || path.contains('?') {
            format!("{path}{STRANGER}")
        } else {
            path.to_owned()
        };
        nobody.get(&path);
    }
    // What operators ask for that is not there is nobody's, too.
    for arguments in [
        &["request", "show", STRANGER, "--operator"][..],
        &["user", "rm", STRANGER],
        &["session", "kill", STRANGER],
        &["audit", "search", "--person", STRANGER],
        &["audit", "report", "activity", "--person", STRANGER],
    ] {
        world.gate.run(arguments, "").unwrap();
    }
    world.gate.run(["login", STRANGER], &format!("{STRANGER}\n")).unwrap();
}

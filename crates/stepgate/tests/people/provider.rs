//! `stepgate login --oidc --psql` at a real OpenID provider (npm oidc-provider), by way of a browser's steps.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use stepgate_testkit::Provider;

use crate::psql::Files;
use crate::support::World;

/// A gate that knows a provider; `None`: there is none on this machine.
pub(crate) fn world() -> Option<(World, Provider)> {
    world_with(|policy| policy, "create: true")
}

/// The same with another policy, and more lines in the section of the provider.
pub(crate) fn world_with(change: impl FnOnce(String) -> String, more: &str) -> Option<(World, Provider)> {
    let mut world = World::not_serving(change);
    let provider = world.provider()?;
    world.configure(&format!(
        "oidc: {{issuer: \"{}\", client_id: stepgate, client_secret_file: secrets/oidc, acr: {{mfa: strong}},\n  \
         label: Example, groups: groups, groups_allow: [analysts], groups_for: 8h, {more}}}\nlogin_for: 4h",
        provider.issuer()
    ));
    world.gate.serve().unwrap();
    Some((world, provider))
}

/// As much of a browser as it takes.
struct Browser {
    agent: ureq::Agent,
    origin: String,
    cookie: String,
}

impl Browser {
    fn new(world: &World) -> Self {
        let pem = std::fs::read(world.gate.ca()).unwrap();
        let roots = vec![ureq::tls::Certificate::from_pem(&pem).unwrap()];
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(ureq::tls::RootCerts::Specific(std::sync::Arc::new(roots)));
        let config = ureq::Agent::config_builder().tls_config(tls.build()).http_status_as_error(false);
        let agent = config.max_redirects(0).proxy(None).build().into();
        Self { agent, origin: world.gate.url(), cookie: String::new() }
    }

    fn get(&self, url: &str) -> String {
        let answer = self.agent.get(url).header("cookie", &self.cookie).header("sec-fetch-site", "none");
        let mut answer = answer.call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 200, "{text}");
        text
    }

    /// Sends the form of a page as it is.
    fn submit(&mut self, page: &str) -> String {
        let form = between(page, "<form method=\"post\"", "</form>");
        let to = between(form, "action=\"", "\"");
        let fields: Vec<_> = form
            .split("<input ")
            .skip(1)
            .map(|input| {
                format!("{}={}", between(input, "name=\"", "\""), encoded(between(input, "value=\"", "\"")))
            })
            .collect();
        let request = self.agent.post(format!("{}{to}", self.origin));
        let request = request
            .header("cookie", &self.cookie)
            .header("origin", &self.origin)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        let mut answer = request.send(fields.join("&")).unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            pair.clone_into(&mut self.cookie);
        }
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 200, "{text}");
        text
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let found = text.split_once(before).and_then(|(_, rest)| Some(rest.split_once(after)?.0));
    found.unwrap_or_else(|| panic!("no {before} in {text}"))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.replace("&amp;", "&")
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `stepgate login --oidc …`, with somebody who logs in there as `who`; what it said.
fn login(world: &World, provider: &Provider, files: &Files, arguments: &[&str], who: &str) -> (bool, String) {
    login_by(world, files, arguments, |there| provider.log_in(there, who).unwrap())
}

/// The same, with what a browser is led to from there, and where that leads it in the end.
pub(crate) fn login_by(
    world: &World,
    files: &Files,
    arguments: &[&str],
    log_in: impl FnOnce(&str) -> String,
) -> (bool, String) {
    let mut command = world.gate.command();
    for screen in ["DISPLAY", "WAYLAND_DISPLAY"] {
        command.env_remove(screen);
    }
    command.args(["login", "--oidc"]).args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = files.tell(&mut command).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.by_ref().find(|line| line.trim().starts_with("https://")).unwrap().trim().to_owned();
    let letters = lines.next().unwrap().rsplit_once(' ').unwrap().1.to_owned();
    let mut browser = Browser::new(world);
    let asked = browser.get(&url);
    assert!(asked.contains(&letters), "{asked}");
    let leaving = browser.submit(&asked);
    let there = between(&leaving, "class=\"button\" href=\"", "\"").replace("&amp;", "&");
    let back = browser.get(&log_in(&there));
    let done = browser.submit(&back);
    let program = between(&done, "href=\"http://127.0.0.1:", "\"").replace("&amp;", "&");
    let told = browser.get(&format!("http://127.0.0.1:{program}"));
    assert!(told.contains("You are logged in"), "{told}");
    let rest: Vec<_> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let text = format!("{}\n{}", rest.join("\n"), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[test]
fn somebody_without_any_password_logs_in_at_the_provider_and_psql_works() {
    let Some((world, provider)) = world() else { return };
    let files = Files::new(&world);
    // Whoever comes back from the browser is nobody's guess.
    let nameless = world.gate.run(["login", "--oidc"], "").unwrap();
    assert_eq!(nameless.status, 2, "{}", nameless.stderr);
    let (ok, text) = login(&world, &provider, &files, &["sam", "--psql"], "sam");
    assert!(ok && text.contains("logged in as sam") && text.contains("psql service=stepgate-shop"), "{text}");
    assert_eq!(files.psql("select 1"), (true, "1\n".to_owned()));
    let people = world.gate.run(["user", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let people: Vec<serde_json::Value> = serde_json::from_str(&people).unwrap();
    let sam = people.iter().find(|it| it["name"] == "sam").unwrap();
    assert_eq!((&sam["groups"][0], &sam["accounts"][0]), (&"analysts".into(), &"oidc:sam".into()));
    // It is the person's: what the policy holds is held for them.
    let (_, me) = files.psql("select current_setting('stepgate.person')");
    assert_eq!(me, "sam\n");

    // Somebody who was here before is not who has that name there, until the operator says so.
    world.gate.run(["user", "add", "dana", "--groups", "analysts"], "correct horse\n").unwrap().ok().unwrap();
    let unlinked = std::panic::catch_unwind(|| login(&world, &provider, &files, &["dana"], "dana"));
    assert!(unlinked.is_err(), "{unlinked:?}");
    assert!(world.recorded("identity.login", "\"refused\":\"taken\""));
    world.gate.run(["user", "link", "dana", "--oidc", "dana"], "").unwrap().ok().unwrap();
    let (ok, text) = login(&world, &provider, &files, &["dana"], "dana");
    assert!(ok && text.contains("logged in as dana"), "{text}");
    // Whoever else logs in there in their place is told.
    let (ok, text) = login(&world, &provider, &files, &["dana"], "sam");
    assert!(!ok && text.contains("says that you are sam"), "{text}");

    world.gate.run(["user", "unlink", "sam", "oidc"], "").unwrap().ok().unwrap();
    let (ok, text) = files.psql("select 1");
    assert!(!ok && text.contains("password authentication failed for user \"sam\""), "{text}");
}

//! A browser, as far as the gate can tell.

use super::{Answer, PASSWORD, World};

/// One that somebody is logged in with.
pub(crate) struct Browser {
    pub(crate) cookie: String,
    /// What the forms of its pages carry.
    pub(crate) proof: String,
}

/// As browsers encode forms.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// What a browser says of a form of our own pages, which are sent without referrer.
pub(crate) const OWN: [(&str, &str); 3] = [
    ("content-type", "application/x-www-form-urlencoded"),
    ("origin", "null"),
    ("sec-fetch-site", "same-origin"),
];

/// The value between two texts.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

impl World {
    /// Logs in by the form.
    pub(crate) async fn log_in(&self, person: &str, request: &str) -> Answer {
        let body = form(&[("name", person), ("password", PASSWORD), ("request", request)]);
        self.send("POST", "/login", &OWN, &body).await
    }

    pub(crate) async fn browser(&self, person: &str) -> Browser {
        let answer = self.log_in(person, "").await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = between(&answer.head, "set-cookie: ", ";").unwrap().to_owned();
        let mut browser = Browser { cookie, proof: String::new() };
        let page = browser.get(self, "/").await;
        assert_eq!(page.status, 200, "{}", page.body);
        browser.proof = between(&page.body, "name=\"proof\" content=\"", "\"").unwrap().to_owned();
        browser
    }
}

impl Browser {
    pub(crate) async fn get(&self, world: &World, path: &str) -> Answer {
        let headers =
            [("cookie", self.cookie.as_str()), ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        world.send("GET", path, &headers, "").await
    }

    /// Sends a form of one of its pages.
    pub(crate) async fn post(&self, world: &World, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_as(world, path, fields, &OWN).await
    }

    /// The same with these headers in the place of its own.
    pub(crate) async fn post_as(
        &self,
        world: &World,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let fields = [&[("proof", self.proof.as_str())], fields].concat();
        let headers = [headers, &[("cookie", self.cookie.as_str())]].concat();
        world.send("POST", path, &headers, &form(&fields)).await
    }
}

//! Logins of browsers, and what other sites' pages, mail scanners and programs cannot do with them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use serde_json::json;
use world::browser::{OWN, between, form};
use world::{PASSWORD, World, name};

/// `application/x-www-form-urlencoded`, as every form is sent.
const FORM: (&str, &str) = OWN[0];

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_this_host_alone_and_ends_with_the_login() {
    let world = World::new().await;
    let login = world.log_in("dana", "").await;
    let cookie = |head: &str| between(head, "set-cookie: ", "\r").map(str::to_owned);
    let (name, rest) = cookie(&login.head)
        .unwrap()
        .split_once('=')
        .map(|(name, rest)| (name.to_owned(), rest.chars().skip(64).collect::<String>()))
        .unwrap();
    assert_eq!((name.as_str(), rest.as_str()), ("stepgate", "; path=/; httponly; samesite=strict"));

    let dana = world.browser("dana").await;
    let again = world
        .send(
            "POST",
            "/login",
            &[&OWN[..], &[("cookie", &dana.cookie)]].concat(),
            &form(&[("name", "dana"), ("password", PASSWORD)]),
        )
        .await;
    assert_eq!(again.status, 303);
    assert_eq!(dana.get(&world, "/").await.status, 303, "its cookie ended with the next login");

    let dana = world.browser("dana").await;
    let out = dana.post(&world, "/logout", &[]).await;
    assert_eq!(
        (out.status, cookie(&out.head).unwrap().as_str()),
        (303, "stepgate=; path=/; httponly; samesite=strict; max-age=0")
    );
    assert_eq!(dana.get(&world, "/").await.status, 303);

    let (here, there, token) =
        (world.browser("dana").await, world.browser("dana").await, world.login("dana").await);
    assert_eq!(here.post(&world, "/logout", &[("everywhere", "1")]).await.status, 303);
    assert_eq!(there.get(&world, "/").await.status, 303);
    assert_eq!(world.get("/api/v1/me", &token).await.status, 401);

    let world = World::at("https://gate.example").await;
    let headers = [FORM, ("origin", "https://gate.example")];
    let login =
        world.send("POST", "/login", &headers, &form(&[("name", "dana"), ("password", PASSWORD)])).await;
    let cookie = cookie(&login.head).unwrap();
    assert!(
        cookie.starts_with("__host-stepgate=") && cookie.ends_with("; samesite=strict; secure"),
        "{cookie}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_logged_out_by_time_by_a_new_password_and_with_its_person() {
    let world = World::new().await;
    let (dana, eve, omar) =
        (world.browser("dana").await, world.browser("eve").await, world.browser("omar").await);
    world.people.set_password(&name("dana"), "another password", None).await.unwrap();
    assert_eq!(dana.get(&world, "/").await.status, 303);
    world.people.remove(&name("eve"), None).await.unwrap();
    assert_eq!(eve.get(&world, "/").await.status, 303);
    assert_eq!(omar.get(&world, "/").await.status, 200);
    world.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(omar.get(&world, "/").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_on_the_page_is_slowed_like_guessing_by_the_api() {
    let world = World::new().await;
    for _ in 0..5 {
        let body = form(&[("name", "dana"), ("password", "<wrong>")]);
        let wrong = world.send("POST", "/login", &OWN, &body).await;
        assert_eq!(wrong.status, 401);
        assert!(wrong.body.contains("role=\"alert\"") && !wrong.body.contains("wrong>"), "{}", wrong.body);
    }
    for slowed in [world.log_in("dana", "").await, world.try_login("dana", PASSWORD).await] {
        assert_eq!(slowed.status, 429);
        assert!(slowed.head.contains("retry-after: "), "{}", slowed.head);
    }
    assert_eq!(world.log_in("etl", "").await.status, 403);
    assert_eq!(world.log_in("omar", "https://evil.example").await.head.matches("location: /\r").count(), 1);
}

/// Checklist 11.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_from_elsewhere_do_not_keep_somebody_from_answering_on_their_own_browser() {
    let world = World::new().await;
    let (mine, theirs) = (world.log_in("dana", "").await, world.browser("dana").await);
    let cookies: Vec<_> = mine.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).collect();
    let cookies: Vec<_> = cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    assert_eq!(cookies.len(), 2, "{}", mine.head);
    let mut dana = world.browser("dana").await;
    dana.cookie = cookies.join("; ");
    let page = dana.get(&world, "/").await;
    dana.proof = between(&page.body, "name=\"proof\" content=\"", "\"").unwrap().to_owned();
    // It is hers once she has verified herself on it.
    let first = world.step_up().await;
    let verify = format!("/r/{}/verify", first.request);
    assert_eq!(dana.post(&world, &verify, &[("code", &world.code("dana"))]).await.status, 303);
    let verify = format!("/r/{}/verify", world.step_up().await.request);
    // From the same address: what is hers is the browser.
    for _ in 0..8 {
        theirs.post(&world, &verify, &[("code", "000000")]).await;
    }
    assert_eq!(theirs.post(&world, &verify, &[("code", "000000")]).await.status, 429);
    world.clock.advance(Duration::from_secs(30));
    let code = world.code("dana");
    assert_eq!(dana.post(&world, &verify, &[("code", &code)]).await.status, 303);
}

/// Checklist 19.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_links_approves_nothing() {
    let world = World::new().await;
    let (own, others) = (world.step_up().await, world.approval().await);
    let (dana, omar) = (world.browser("dana").await, world.browser("omar").await);
    let code = world.code("dana");
    let reads =
        |path| stepgate_console::paths().iter().any(|(method, other, _)| *method == "get" && *other == path);
    for (_, path, _) in stepgate_console::paths() {
        let reads = reads(path);
        for id in [own.request, others.request] {
            let path = path.replace("{id}", &id.to_string()).replace("{number}", "0");
            // With every right there is: in a scanner's place, somebody who is logged in.
            for browser in [&dana, &omar] {
                let path = format!("{path}?code={code}&reason=r&proof={}", browser.proof);
                if path.starts_with("/api/v1/events") {
                    continue;
                }
                let answer = browser.get(&world, &path).await;
                assert!(reads || answer.status == 405, "{path}");
            }
        }
    }
    for id in [own.request, others.request] {
        assert_eq!(world.desk.request(id).unwrap().state, "open");
    }
    world.desk.prove(&name("dana"), &code, std::net::IpAddr::from([192, 0, 2, 7])).await.unwrap();
    assert_eq!(dana.get(&world, "/").await.status, 200, "nor logs it out");
}

/// Checklist 19.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_sites_page_sends_is_refused_whatever_it_carries() {
    let world = World::new().await;
    let own = world.step_up().await;
    let (dana, other) = (world.browser("dana").await, world.browser("dana").await);
    let verify = format!("/r/{}/verify", own.request);
    let code = world.code("dana");
    let fields = [("code", code.as_str())];
    for headers in [
        &[FORM][..],
        &[FORM, ("origin", "https://evil.example")],
        &[FORM, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[FORM, ("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[FORM, ("origin", "null"), ("sec-fetch-site", "same-site")],
        &[FORM, ("origin", "null")],
        &[FORM, ("sec-fetch-site", "none")],
    ] {
        for path in [verify.as_str(), "/logout", "/login", "/enrol/totp"] {
            let answer = dana.post_as(&world, path, &fields, headers).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
        }
    }
    // From our own page, but without the proof, with another login's, or not as a form.
    for proof in ["", &other.proof, dana.proof.strip_suffix(|_: char| true).unwrap()] {
        let body = form(&[("code", &code), ("proof", proof)]);
        let headers = [&OWN[..], &[("cookie", dana.cookie.as_str())]].concat();
        assert_eq!(world.send("POST", &verify, &headers, &body).await.status, 403, "{proof}");
    }
    let plain = [("content-type", "text/plain"), OWN[1], OWN[2]];
    assert_eq!(dana.post_as(&world, &verify, &fields, &plain).await.status, 415);
    assert_eq!(world.desk.request(own.request).unwrap().state, "open");
    assert_eq!(
        dana.post(&world, &verify, &fields).await.status,
        303,
        "its own form, and the code is unspent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_api_a_cookie_counts_for_our_own_pages_script_alone() {
    let world = World::new().await;
    let own = world.step_up().await;
    let dana = world.browser("dana").await;
    let token = world.login("dana").await;
    let path = format!("/api/v1/requests/{}/verify", own.request);
    let value = dana.cookie.split_once('=').unwrap().1;
    let (bearer, as_bearer) = (format!("Bearer {token}"), format!("Bearer {value}"));
    let as_cookie = format!("stepgate={token}");
    let json = ("content-type", "application/json");
    let origin = format!("http://{}", world.address);
    let (cookie, from, proof) = (
        ("cookie", dana.cookie.as_str()),
        ("origin", origin.as_str()),
        ("stepgate-proof", dana.proof.as_str()),
    );
    let body = json!({"code": world.code("dana")}).to_string();
    for (headers, status) in [
        (&[json, ("authorization", &as_bearer)][..], 401),
        (&[json, ("cookie", &as_cookie), from, proof], 401),
        (&[json, cookie, ("authorization", &bearer), from, proof], 400),
        (&[json, cookie], 403),
        (&[json, cookie, from], 403),
        (&[json, cookie, proof], 403),
        (&[json, cookie, proof, ("origin", "https://evil.example")], 403),
        (&[json, ("authorization", &bearer), ("origin", "https://evil.example")], 403),
        (&[json, cookie, from, proof], 200),
    ] {
        let answer = world.send("POST", &path, headers, &body).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.body);
    }
    assert_eq!(world.send("GET", "/api/v1/me", &[cookie], "").await.json()["name"], json!("dana"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_link_of_another_site_gets_there_by_a_page_of_ours() {
    let world = World::new().await;
    let path = format!("/r/{}", world.step_up().await.request);
    // A strict cookie is not sent along then.
    let first = world.send("GET", &path, &[("sec-fetch-site", "cross-site")], "").await;
    assert!(first.body.contains("http-equiv=\"refresh\" content=\"0\""), "{}", first.body);
    let second = world.send("GET", &path, &[("sec-fetch-site", "same-origin")], "").await;
    assert!(second.body.contains("name=\"password\""), "{}", second.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_those_who_see_a_request_of_it_and_ends_with_the_login() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new().await;
    let (dana, eve) = (world.login("dana").await, world.login("eve").await);
    let mut streams = Vec::new();
    for token in [&dana, &eve] {
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let ask = format!("GET /api/v1/events HTTP/1.0\r\nhost: g\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"retry: 5000\n\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        streams.push(stream);
    }
    let request = world.step_up().await.request;
    let read = async |stream: &mut tokio::net::TcpStream| {
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") {
            match stream.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(text).unwrap()
    };
    let told = read(&mut streams[0]).await;
    assert!(told.starts_with("event: request\ndata: ") && told.contains(&request.to_string()), "{told}");
    assert!(told.contains("\"state\":\"open\"") && !told.contains("customers"), "{told}");
    // Logged out, both end at the next news; eve was told nothing until then.
    for token in [&dana, &eve] {
        world.post("/api/v1/logout", token, json!({})).await;
    }
    world.approval().await;
    for stream in &mut streams {
        assert_eq!(read(stream).await, "");
    }
}

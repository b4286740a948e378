//! Logins of browsers, and what other sites' pages, mail scanners and programs cannot do with them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use serde_json::json;
use stepgate_console::Proxies;
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

/// A login by the API, by a proxy at that address, which says that.
async fn proxied(world: &World, proxy: u8, forwarded: &str, password: &str) -> u16 {
    let body = json!({"name": "dana", "password": password}).to_string();
    let head = format!("POST /api/v1/login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", world.address);
    let said = format!("content-type: application/json\r\n{forwarded}content-length: {}\r\n", body.len());
    world.raw_from([127, 0, 0, proxy], &format!("{head}{said}\r\n{body}")).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_each_person_is_slowed_by_themselves_and_nobody_says_to_be_elsewhere() {
    const GUESSES: u8 = 6;
    let mut proxies = Proxies::default();
    proxies.trust("127.0.0.1").unwrap();
    let world = World::configured((proxies, false), "", |_| None).await;
    let from = |address: &str| format!("x-forwarded-for: {address}\r\n");
    let proxied = async |proxy, forwarded: &str, password| proxied(&world, proxy, forwarded, password).await;
    for guess in 0..GUESSES {
        // What a guesser writes before what the proxy adds changes with each guess, and changes nothing.
        let chain = format!("203.0.113.{guess}, 198.51.100.7");
        let status = proxied(1, &from(&chain), "wrong").await;
        assert_eq!(status, if guess < 5 { 401 } else { 429 }, "guess {guess}");
    }
    assert_eq!(proxied(1, &from("198.51.100.7"), PASSWORD).await, 429);
    assert_eq!(proxied(1, &from("198.51.100.8"), PASSWORD).await, 200, "everybody else by the same proxy");
    assert_eq!(proxied(1, "", PASSWORD).await, 200);
    // Whoever is not the proxy stays who they are, whatever they say.
    for guess in 0..GUESSES {
        let status = proxied(9, &from(&format!("203.0.113.{guess}")), "wrong").await;
        assert_eq!(status, if guess < 5 { 401 } else { 429 }, "guess {guess}");
    }
    assert_eq!(proxied(1, &from("203.0.113.1"), PASSWORD).await, 200, "in whose name they did it");
    // By the proxy, what cannot be read, and the header that this proxy does not write, is the proxy's own.
    let unread = [
        "x-forwarded-for: \"198.51.100.9\"\r\n",
        "x-forwarded-for: unknown\r\n",
        "forwarded: for=198.51.100.9\r\n",
    ];
    for (guess, said) in unread.iter().cycle().take(GUESSES.into()).enumerate() {
        let status = proxied(1, said, "wrong").await;
        assert_eq!(status, if guess < 5 { 401 } else { 429 }, "guess {guess}");
    }
    assert_eq!(proxied(1, "", PASSWORD).await, 429);
    assert_eq!(proxied(1, &from("198.51.100.9"), PASSWORD).await, 200);
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

/// Whoever has stolen the password of one who answers has no authenticator of theirs.
#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_asked_for_a_password_alone_shows_nothing_of_what_others_statements_say() {
    let world = World::configured((Proxies::default(), true), "", |_| None).await;
    let (own, others) = (world.step_up().await.request, world.approval().await.request);
    let (thief, browser) = (world.login("omar").await, world.browser("omar").await);
    let path = format!("/api/v1/requests/{others}");
    for part in ["", "/sql?offset=0", "/behind/0?offset=0", "/parameters/0?offset=0"] {
        let refused = world.get(&format!("{path}{part}"), &thief).await;
        assert_eq!((refused.status, refused.error().as_str()), (403, "login_proves_too_little"), "{part}");
        assert!(!refused.body.contains("078-05-1120"), "{}", refused.body);
    }
    for page in [format!("/r/{others}"), format!("/r/{others}?part=sql&offset=0"), "/".to_owned()] {
        let shown = browser.get(&world, &page).await;
        assert!(!shown.body.contains("078-05-1120"), "{page}: {}", shown.body);
    }
    // That there is something to answer is told.
    assert!(world.get("/api/v1/requests", &thief).await.body.contains(&others.to_string()));
    // One's own is one's own.
    let dana = world.login("dana").await;
    let shown = world.get(&format!("/api/v1/requests/{own}"), &dana).await;
    assert!(shown.status == 200 && shown.body.contains("078-05-1120"), "{}", shown.body);
    // A wrong code is no login; a right one makes it one that proves more.
    let with = |code: String| json!({"name": "omar", "password": PASSWORD, "code": code});
    assert_eq!(world.post("/api/v1/login", "", with("000000".to_owned())).await.status, 401);
    let omar = world.post("/api/v1/login", "", with(world.code("omar"))).await;
    assert_eq!(omar.status, 200, "{}", omar.body);
    let shown = world.get(&path, omar.json()["token"].as_str().unwrap()).await;
    assert!(shown.status == 200 && shown.body.contains("078-05-1120"), "{}", shown.body);
    world.clock.advance(Duration::from_secs(30));
    assert!(world.get("/login", "").await.body.contains("name=\"code\""));
    let code = world.code("omar");
    let body = form(&[("name", "omar"), ("password", PASSWORD), ("code", &code)]);
    let login = world.send("POST", "/login", &OWN, &body).await;
    let cookie = between(&login.head, "set-cookie: ", ";").unwrap();
    let headers = [("cookie", cookie), ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
    let page = world.send("GET", &format!("/r/{others}"), &headers, "").await;
    assert!(page.status == 200 && page.body.contains("078-05-1120"), "{}", page.body);
}

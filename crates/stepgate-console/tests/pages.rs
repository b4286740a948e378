//! Pages: what you see is what runs, and what somebody else may not see is not there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use stepgate_record::Outcome;
use stepgate_types::Strength;
use world::browser::between;
use world::{PREPARED, World, name};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_notice_says_the_same_for_every_id_to_who_is_not_logged_in() {
    let world = World::new().await;
    let there = world.step_up().await.request.to_string();
    let page = world.get(&format!("/r/{there}"), "").await;
    let other = world.get("/r/7K4M-9QXD", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body.replace(&there, "7K4M-9QXD"), other.body);
    assert!(page.body.contains(&format!("stepgate verify {there}")));
    assert!(!page.body.contains("customers") && !page.body.contains("dana"));
    let hostile = world.get("/r/%3Cscript%3Ealert(1)%3C/script%3E", "").await;
    assert!(!hostile.body.contains("alert"), "{}", hostile.body);
    assert_eq!(world.get("/r/%3Cscript%3E", "").await.body.matches("stepgate verify REQUEST").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_executed_by_its_name_is_on_the_page_and_in_the_api_apart_from_the_statement() {
    let world = World::new().await;
    let waiting = world.ask_for(false, "execute p /* what it runs by name: select 1 */", Strength::Standard);
    let path = format!("/r/{}", waiting.await.request);
    let omar = world.browser("omar").await;
    let page = omar.get(&world, &path).await;
    let shown = between(&page.body, "<h2 id=\"behind\">", "</pre>").unwrap();
    assert!(shown.contains(PREPARED), "{}", page.body);
    let rest = PREPARED.get(8..).unwrap();
    let part = omar.get(&world, &format!("{path}?part=behind0&offset=8")).await;
    assert!(part.body.contains(rest) && !part.body.contains(PREPARED), "{}", part.body);
    let token = world.login("omar").await;
    let path = path.replace("/r/", "/api/v1/requests/");
    let shown = world.get(&path, &token).await.json();
    assert_eq!(shown["behind"][0]["text"], serde_json::json!(PREPARED));
    let more = world.get(&format!("{path}/behind/0?offset=8"), &token).await.json();
    assert_eq!(more["text"], serde_json::json!(rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_verifies_themselves_on_the_page_and_the_statement_is_released() {
    let world = World::new().await;
    let waiting = world.step_up().await;
    let path = format!("/r/{}", waiting.request);
    let login = world.log_in("dana", &waiting.request.to_string()).await;
    assert!(login.head.contains(&format!("location: {}", path.to_ascii_lowercase())), "{}", login.head);
    let dana = world.browser("dana").await;
    let page = dana.get(&world, &path).await;
    assert!(
        page.body.contains("&#39;078-05-1120&#39;") || page.body.contains("'078-05-1120'"),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("autocomplete=\"one-time-code\"") && page.body.contains("inputmode=\"numeric\"")
    );
    let verify = format!("{path}/verify");
    let wrong = dana.post(&world, &verify, &[("code", "000000")]).await;
    assert_eq!(wrong.status, 401);
    assert!(
        wrong.body.contains("role=\"alert\"") && wrong.body.contains("<form class=\"answer\""),
        "{}",
        wrong.body
    );
    let code = world.code("dana");
    let (first, last) = code.split_at(3);
    let grouped = format!("{first} {last}");
    let right = dana.post(&world, &verify, &[("code", &grouped)]).await;
    assert_eq!(right.status, 303, "{}", right.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Approved);
    let page = dana.get(&world, &path).await;
    assert!(page.body.contains("<strong>approved</strong>"), "{}", page.body);
    assert!(!page.body.contains("078-05-1120"));
    let late = dana.post(&world, &verify, &[("code", &world.code("dana"))]).await;
    assert_eq!(late.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_says_how_many_people_were_asked_more_often_than_the_budget_has_it() {
    let world = World::new().await;
    let omar = world.browser("omar").await;
    let said = "1 asked more often today than the policy&#39;s budget of 1 a person has it.";
    let shown = |page: &str| page.replace('\'', "&#39;").contains(said);
    let _first = world.approval().await;
    world.desk.set_budget(Some(1));
    assert!(!omar.get(&world, "/").await.body.contains("budget"), "who was asked once is within it");
    let _second = world.ask_for(false, "select email from customers", Strength::Standard).await;
    let page = omar.get(&world, "/").await;
    assert!(shown(&page.body), "{}", page.body);
    // How many, and not who.
    let (notice, _) = page.body.split_once("has it.").unwrap();
    let notice = notice.rsplit_once("<p").unwrap().1;
    assert!(!notice.contains("dana"), "{notice}");
    world.desk.set_budget(None);
    assert!(!omar.get(&world, "/").await.body.contains("budget"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_denies_with_a_reason_on_the_page() {
    let world = World::new().await;
    let waiting = world.approval().await;
    let omar = world.browser("omar").await;
    assert!(omar.get(&world, "/").await.body.contains(&format!("/r/{}", waiting.request)));
    let path = format!("/r/{}", waiting.request);
    let said = omar.post(&world, &format!("{path}/comment"), &[("text", "why \u{202E}<b>all</b>?")]).await;
    assert_eq!(said.status, 303, "{}", said.body);
    let page = omar.get(&world, &path).await;
    for text in ["why <mark>\\u{202E}</mark>&lt;b&gt;all&lt;/b&gt;?", "new_network +30", "up to about 5"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let deny = format!("{path}/deny");
    let fields = [("code", world.code("omar")), ("reason", "use <b>customers_masked</b>".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(omar.post(&world, &deny, &fields).await.status, 303);
    let end = waiting.ended.await.unwrap();
    assert_eq!((end.outcome, end.reason.as_deref()), (Outcome::Denied, Some("use <b>customers_masked</b>")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_ask_says_so_without_a_code_and_it_is_denied() {
    let world = World::new().await;
    let waiting = world.step_up().await;
    let dana = world.browser("dana").await;
    let disowned = dana.post(&world, &format!("/r/{}/not-me", waiting.request), &[]).await;
    assert_eq!(disowned.status, 303, "{}", disowned.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Denied);
}

/// Checklist 18.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_hide_reorder_or_run_is_shown_as_what_it_is() {
    let world = World::new().await;
    let sql = "select '\u{202E}x\u{200B}y\u{1b}[2J\u{5d0}' -- \\u{202E}\n</pre><script>alert(1)</script>\
               <img src=x onerror=alert(2)>\"'&amp;";
    let waiting = world.ask_for(false, sql, Strength::Standard).await;
    let page = world.browser("omar").await.get(&world, &format!("/r/{}", waiting.request)).await;
    let shown = between(&page.body, "aria-label=\"Statement\">", "</pre>").unwrap();
    for visible in ["\\u{202E}</mark>", "\\u{200B}</mark>", "\\u{001B}</mark>[2J", "\\u{05D0}</mark>"] {
        assert!(shown.contains(visible), "{visible}: {shown}");
    }
    // What the statement itself spells so is not marked, and its backslash is doubled.
    assert!(shown.contains(" -- \\\\u{202E}\n"), "{shown}");
    assert!(shown.contains("&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x"), "{shown}");
    assert!(shown.ends_with("&quot;'&amp;amp;"), "{shown}");
    for letter in page.body.chars() {
        assert!(letter.is_ascii_graphic() || matches!(letter, ' ' | '\n' | '–'), "{letter:?}");
    }
    assert_eq!(page.body.matches("<script").count(), 1, "our own");
    // Neither title nor any address of a link or form says anything of it.
    let addresses = page.body.split(['"', '>']).filter(|part| part.starts_with('/'));
    let title = between(&page.body, "<title>", "</title>").unwrap();
    assert_eq!(title, format!("Request {} – Stepgate", waiting.request));
    for address in addresses {
        assert!(!address.contains("select") && !address.contains("202E"), "{address}");
    }
}

/// Checklist 18.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_a_megabyte_is_approved_only_after_all_of_it_was_shown() {
    let world = World::new().await;
    let sql = format!("select 1 -- {}the end", "é".repeat(500_000));
    let waiting = world.ask_for(false, &sql, Strength::Standard).await;
    let (path, omar) = (format!("/r/{}", waiting.request), world.browser("omar").await);
    let approve = format!("{path}/approve");
    let mut page = omar.get(&world, &path).await;
    let mut shown = String::new();
    loop {
        let text = between(&page.body, "<pre class=\"exact\"", "</pre>").unwrap();
        shown += text.split_once('>').unwrap().1;
        let Some(next) = between(&page.body, "<a class=\"button\" href=\"", "\"") else { break };
        assert!(page.body.contains("<button disabled"), "{next}");
        // Whoever sends the form all the same approves nothing, and has spent no code.
        let code = world.code("omar");
        let early = omar.post(&world, &approve, &[("code", &code), ("reason", "ticket")]).await;
        assert_eq!(early.status, 409, "{next}");
        page = omar.get(&world, &next.replace("&amp;", "&")).await;
    }
    assert_eq!(shown, format!("{sql}42"), "the statement, and its first value");
    assert!(!page.body.contains("<button disabled"));
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
    let code = world.code("omar");
    let done = omar.post(&world, &approve, &[("code", &code), ("reason", "ticket")]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Approved);
}

/// Checklist 19.
#[tokio::test(flavor = "multi_thread")]
async fn to_a_foreign_account_a_request_is_not_there_whatever_is_done_with_its_address() {
    let world = World::new().await;
    let there = world.approval().await.request.to_string();
    let eve = world.browser("eve").await;
    let code = world.code("eve");
    assert!(!eve.get(&world, "/").await.body.contains(&there));
    for verb in ["", "/verify", "/approve", "/deny", "/cancel", "/not-me", "/comment"] {
        let mut answers = Vec::new();
        for id in [there.as_str(), "ZZZZ-ZZZZ"] {
            let path = format!("/r/{id}{verb}");
            let answer = match verb {
                "" => eve.get(&world, &path).await,
                _ => eve.post(&world, &path, &[("code", &code), ("reason", "r"), ("text", "t")]).await,
            };
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404, "{verb}");
        assert_eq!(answers[0], answers[1], "{verb}");
    }
    // And her code is not spent by it.
    world.desk.prove(&name("eve"), &code, std::net::IpAddr::from([192, 0, 2, 7])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authenticator_takes_a_code_of_the_one_there_is() {
    let world = World::new().await;
    let dana = world.browser("dana").await;
    assert_eq!(dana.post(&world, "/enrol/totp", &[("code", "000000")]).await.status, 401);
    let begun = dana.post(&world, "/enrol/totp", &[("code", &world.code("dana"))]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    assert!(begun.body.contains("<svg class=\"qr\""));
    let uri = between(&begun.body, "href=\"otpauth", "\"").unwrap().replace("&amp;", "&");
    let app = stepgate_testkit::Authenticator::enrol(&format!("otpauth{uri}")).unwrap();
    world.clock.advance(Duration::from_secs(60));
    let code = app.code_at(stepgate_types::Clock::now(&*world.clock).unix_seconds());
    let done = dana.post(&world, "/enrol/totp/confirm", &[("code", &code)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    // A password alone enrols nobody's first.
    world.people.factors().remove(&name("eve"), "totp", None).await.unwrap();
    let eve = world.browser("eve").await;
    let refused = eve.post(&world, "/enrol/totp", &[("code", "")]).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.body.contains("otpauth"));
}

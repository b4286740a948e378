//! Notices to real receivers: what is said, to whom, and what never is.

use std::io::{BufReader, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use stepgate_record::{Event, Outcome, StepupRequested};
use stepgate_types::{Clock as _, RequestId, SessionId};

use super::posts::{Request, SECRET, request, secret, url};
use super::receiver::Receiver;
use super::world::{World, until};
use crate::config::{Chat, ChatKind, Notifier, NotifyTo, WebTarget};
use crate::system::SystemClock;

/// Posts as they came; the first `refusing` of them were refused.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<Request>>>);

impl Got {
    fn receiver(&self, refusing: usize) -> Receiver {
        let got = self.clone();
        Receiver::new(None, move |stream, number| {
            let mut stream = BufReader::new(stream);
            while let Some(request) = request(&mut stream) {
                let status = if number < refusing { "503 no" } else { "200 ok" };
                if number >= refusing {
                    got.0.lock().unwrap().push(request);
                }
                let _ = write!(
                    stream.get_mut(),
                    "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                if number < refusing {
                    return;
                }
            }
        })
    }

    fn texts(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }
}

fn requested(number: u8, itself: bool, expires: Duration) -> Event {
    Event::StepupRequested(Box::new(StepupRequested {
        request: RequestId::from_bytes([number; 5]),
        session: SessionId::from_bytes([7; 16]),
        statement: 1,
        person: "dana".parse::<stepgate_types::PersonName>().as_ref().unwrap().into(),
        database: "shop".to_owned(),
        approval: "four-eyes".to_owned(),
        itself,
        groups: vec!["data-owners".parse().unwrap()],
        count: 2,
        canonical_sha256: "0".repeat(64),
        expires_us: SystemClock.now().plus(expires).micros(),
        address: None,
        opened_by: None,
        until_us: None,
    }))
}

fn escalated(number: u8) -> Event {
    let groups = vec!["security".parse().unwrap()];
    Event::StepupEscalated { request: RequestId::from_bytes([number; 5]), groups }
}

fn ended(number: u8, outcome: Outcome) -> Event {
    let request = RequestId::from_bytes([number; 5]);
    Event::StepupEnded { request, outcome, by: None, reason_hmac: None, reason: None }
}

fn alarm() -> Event {
    let (session, what) = (SessionId::from_bytes([7; 16]), "unflagged-column".to_owned());
    Event::AlarmRaised { session, statement: 1, what, columns: vec!["public.customers.ssn".to_owned()] }
}

fn id(number: u8) -> String {
    RequestId::from_bytes([number; 5]).to_string()
}

fn tell(world: &World, events: Vec<Event>) {
    world.log.append_blocking(events, Vec::new()).unwrap();
}

fn begun(world: &World, name: &str) {
    let file = stepgate_store::CursorFile::new(&world.data().join("notices"), name);
    until("notices to begin", || matches!(file.read().unwrap(), stepgate_store::FoundCursor::Cursor(_)));
}

#[test]
fn a_notice_names_nobody_carries_no_authority_and_comes_though_the_receiver_was_away() {
    let world = World::new();
    tell(&world, vec![requested(9, false, Duration::from_secs(300))]);
    let got = Got::default();
    // Away at first: four tries fail.
    let receiver = got.receiver(4);
    let secret_file = secret(world.dir.path(), "secret", SECRET);
    let target = WebTarget { url: url(&receiver, "http"), secret_file, authorization_file: None, ca: None };
    let notifiers = [Notifier { name: "hook".to_owned(), to: NotifyTo::Webhook(target) }];
    let running = world.notify(&notifiers);
    begun(&world, "hook");
    tell(
        &world,
        vec![
            requested(1, false, Duration::from_secs(300)),
            // Between dana and the gate.
            requested(2, true, Duration::from_secs(300)),
            ended(2, Outcome::Approved),
            // Over before anybody could read it.
            requested(3, false, Duration::ZERO),
            escalated(1),
            // Over before its beginning could be told.
            escalated(3),
            ended(1, Outcome::Denied),
            ended(1, Outcome::Denied),
            alarm(),
        ],
    );
    until("all notices", || got.texts().len() == 4 && running.row()["lag"] == 0);
    got.0.lock().unwrap().iter().for_each(Request::assert_signed);
    let texts = got.texts();
    let events: Vec<_> = texts.iter().map(|text| text["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["request.opened", "request.escalated", "request.ended", "alarm"]);
    assert_eq!((texts[0]["request"].as_str(), texts[2]["outcome"].as_str()), (Some(&*id(1)), Some("denied")));
    assert_eq!(
        (texts[1]["request"].as_str(), texts[1]["groups"][0].as_str()),
        (Some(&*id(1)), Some("security"))
    );
    assert!(
        texts[1]["text"].as_str().unwrap().contains("still waits, and now for security too"),
        "{texts:?}"
    );
    assert_eq!(texts[0]["url"], format!("https://gate.example/r/{}", id(1)));
    assert_eq!(texts[0]["groups"][0], "data-owners");
    let all = format!("{texts:?}");
    for secret in ["dana", "shop", "customers", "ssn", &id(2), &id(3), &id(9)] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert_eq!(running.row()["state"], "ok");
    // A restart tells nothing twice.
    drop(running);
    let running = world.notify(&notifiers);
    tell(&world, vec![alarm()]);
    until("one more", || got.texts().len() >= 5 && running.row()["lag"] == 0);
    assert_eq!(got.texts().len(), 5);
}

#[test]
fn what_was_called_off_before_it_could_be_told_however_often_keeps_no_alarm_waiting() {
    let world = World::new();
    let got = Got::default();
    let receiver = got.receiver(0);
    let secret_file = secret(world.dir.path(), "secret", SECRET);
    let target = WebTarget { url: url(&receiver, "http"), secret_file, authorization_file: None, ca: None };
    let running = world.notify(&[Notifier { name: "hook".to_owned(), to: NotifyTo::Webhook(target) }]);
    begun(&world, "hook");
    let open = |number| requested(number, false, Duration::from_secs(300));
    let mut events: Vec<_> =
        (20..60).flat_map(|number| [open(number), ended(number, Outcome::Cancelled)]).collect();
    events.extend([open(60), alarm()]);
    tell(&world, events);
    let told = |count: usize| {
        until("notices", || got.texts().len() >= count && running.row()["lag"] == 0);
        let texts = got.texts();
        texts.iter().map(|text| text["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(2), ["request.opened", "alarm"]);
    // Once told, its end is told too.
    tell(&world, vec![ended(60, Outcome::Cancelled)]);
    assert_eq!(told(3), ["request.opened", "alarm", "request.ended"]);
}

#[test]
fn chats_get_what_they_take_and_their_address_is_shown_nowhere() {
    let world = World::new();
    for (kind, name) in [(ChatKind::Slack, "slack"), (ChatKind::Teams, "teams")] {
        let got = Got::default();
        let receiver = got.receiver(0);
        let url_file = secret(world.dir.path(), name, &url(&receiver, "http").url);
        let chat = Chat { kind, url_file, ca: None };
        let running = world.notify(&[Notifier { name: name.to_owned(), to: NotifyTo::Chat(chat) }]);
        begun(&world, name);
        tell(&world, vec![requested(1, false, Duration::from_secs(300))]);
        until("a notice", || got.texts().len() == 1);
        let text = &got.texts()[0];
        assert!(got.0.lock().unwrap()[0].header("stepgate-signature").is_none());
        match kind {
            ChatKind::Slack => assert!(text["text"].as_str().unwrap().contains("waits for 2 of data-owners")),
            ChatKind::Teams => {
                let card = &text["attachments"][0]["content"];
                assert_eq!((text["type"].as_str(), card["version"].as_str()), (Some("message"), Some("1.4")));
                assert_eq!(card["actions"][0]["url"], format!("https://gate.example/r/{}", id(1)));
            }
        }
        assert!(!running.row().to_string().contains("s3cret-path"), "{}", running.row());
    }
}

#[test]
fn break_glass_is_told_loudly_from_its_start_to_its_review_and_a_program_does_not_flood_the_room() {
    use stepgate_record::{GlassEnded, GlassOpened, GlassReviewed, GlassUsed};
    use stepgate_types::{GrantId, PersonName, Who};
    let world = World::new();
    let (grant, got) = (GrantId::from_bytes([5; 8]), Got::default());
    let receiver = got.receiver(0);
    let secret_file = secret(world.dir.path(), "secret", SECRET);
    let target = WebTarget { url: url(&receiver, "http"), secret_file, authorization_file: None, ca: None };
    let running = world.notify(&[Notifier { name: "hook".to_owned(), to: NotifyTo::Webhook(target) }]);
    begun(&world, "hook");
    let person = Who::from("dana".parse::<PersonName>().as_ref().unwrap());
    let opened = Event::BreakGlassOpened(Box::new(GlassOpened {
        grant,
        person: person.clone(),
        database: Some("shop".to_owned()),
        client: "psql".into(),
        network: "192.0.2.7".into(),
        reason: "the clinic is down".into(),
        authenticator: "passkey-01020304".to_owned(),
        canonical_sha256: "0".repeat(64),
        expires_us: SystemClock.now().plus(Duration::from_secs(600)).micros(),
        lifts: Vec::new(),
    }));
    let session = SessionId::from_bytes([7; 16]);
    let used = |statement| Event::BreakGlassUsed(GlassUsed { grant, session, statement });
    let ended = GlassEnded { grant, why: "expired".to_owned(), uses: 60, by: None, operator: None };
    let reviewed = GlassReviewed { grant, by: person, comment: "in order".into() };
    tell(&world, vec![opened]);
    for some in (1..=60).collect::<Vec<u64>>().chunks(20) {
        tell(&world, some.iter().map(|number| used(*number)).collect());
    }
    tell(&world, vec![Event::BreakGlassEnded(ended), Event::BreakGlassReviewed(reviewed)]);
    until("all notices", || running.row()["lag"] == 0 && got.texts().len() >= 33);
    let texts = got.texts();
    let of = |what: &str| texts.iter().filter(|text| text["what"] == what).count();
    assert_eq!((of("opened"), of("used"), of("ended"), of("reviewed")), (1, 30, 1, 1), "{texts:?}");
    assert!(texts.iter().all(|text| text["event"] == "break_glass" && text["grant"] == grant.to_string()));
    assert!(texts.iter().any(|text| text["text"].as_str().unwrap().contains("60 statements")));
    let all = format!("{texts:?}");
    for secret in ["dana", "shop", "psql", "192.0.2.7", "clinic", "in order"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn a_changed_policy_is_told_and_one_that_was_tampered_with_is_an_alarm() {
    let world = World::new();
    let got = Got::default();
    let receiver = got.receiver(0);
    let secret_file = secret(world.dir.path(), "secret", SECRET);
    let target = WebTarget { url: url(&receiver, "http"), secret_file, authorization_file: None, ca: None };
    let running = world.notify(&[Notifier { name: "hook".to_owned(), to: NotifyTo::Webhook(target) }]);
    begun(&world, "hook");
    let policy_sha256 = "ab".repeat(32);
    tell(
        &world,
        vec![
            Event::PolicyProposed { policy_sha256: policy_sha256.clone() },
            Event::PolicyApproved { policy_sha256: policy_sha256.clone() },
            Event::PolicyTampered { policy_sha256 },
        ],
    );
    until("all notices", || running.row()["lag"] == 0 && got.texts().len() >= 3);
    let texts = got.texts();
    let said: Vec<_> = texts.iter().map(|text| (text["event"].as_str(), text["action"].as_str())).collect();
    let changed = |action| (Some("changed"), Some(action));
    assert_eq!(said, [changed("policy.proposed"), changed("policy.approved"), (Some("alarm"), None)]);
    assert!(texts[0]["url"].as_str().unwrap().ends_with("/policies"), "{texts:?}");
    assert!(texts[2]["text"].as_str().unwrap().contains("audit search --type policy.tampered`"), "{texts:?}");
}

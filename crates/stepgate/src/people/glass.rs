//! `break-glass`: asked for here, opened by a passkey in a browser, which this waits for.

use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::Method;
use stepgate_types::GrantId;

use super::http::Api;
use super::patience::Patience;
use super::prove::{Matter, settled};
use crate::args::{AsArgs, Format, GlassArgs, LineFormat};
use crate::done::{Done, meanwhile};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::Listing;

const PATH: &str = "/api/v1/break-glass";

/// What a table of them shows.
pub(crate) const COLUMNS: &[&str] =
    &["grant", "state", "person", "database", "client", "network", "reason", "uses", "opened", "expires"];

/// How often it is asked whether the ceremony is over.
const POLL: Duration = Duration::from_secs(1);

/// `stepgate break-glass --reason TEXT`: done when it is open.
pub(crate) fn ask(args: &GlassArgs) -> Result<(), Failure> {
    let (api, format) = (Api::of(&args.who)?, args.say.output);
    let asked = api.post(
        PATH,
        &json!({
            "reason": args.reason.as_deref().unwrap_or_default(),
            "seconds": args.time.map(|time| time.as_secs()),
            "database": args.database,
            "client": args.client,
        }),
    )?;
    let id = text(&asked, "grant");
    meanwhile(&format!("open {}/break-glass and use your passkey; {id} waits for it", api.url()), format)?;
    let mut patience = Patience::for_a_while();
    loop {
        match patience.ask(|| find(&api, &id))? {
            Some(row) if text(&row, "state") == "asked" => std::thread::sleep(POLL),
            Some(row) if text(&row, "state") == "open" => {
                let (client, network) = (text(&row, "client"), text(&row, "network"));
                let until = text(&row, "expires");
                let text = format!(
                    "{id}: open until {until}, for {client} from {network}; every statement is recorded\n\
                     end it with: stepgate break-glass end {id}"
                );
                return Done::new("break-glass").with_these(COLUMNS, &row).say(&text, format);
            }
            _ => return Err(Failure::no(format!("{id} was not opened, or is over already"))),
        }
    }
}

pub(super) fn text(row: &Value, key: &str) -> String {
    row.get(key).and_then(Value::as_str).map(harmless).unwrap_or_default()
}

/// The one of that id, where it is there for this person.
pub(super) fn find(api: &Api, id: &str) -> Result<Option<Value>, Failure> {
    let rows = api.get(PATH)?;
    Ok(rows.as_array().into_iter().flatten().find(|row| text(row, "grant") == id).cloned())
}

/// `stepgate break-glass ls`.
pub(crate) fn ls(who: &AsArgs, format: Format) -> Result<(), Failure> {
    let rows = Api::of(who)?.get(PATH)?.as_array().cloned().unwrap_or_default();
    Listing::of(COLUMNS, rows).print(format)
}

/// `stepgate break-glass end`.
pub(crate) fn end(id: GrantId, who: &AsArgs, format: LineFormat) -> Result<(), Failure> {
    let answer = Api::of(who)?.post(&format!("{PATH}/{id}/end"), &json!({}))?;
    let text = format!("{id}: over; it waits to be reviewed by somebody else");
    Done::new("break-glass end").with_these(&["grant", "state"], &answer).say(&text, format)
}

/// `stepgate break-glass review`.
pub(crate) fn review(
    id: GrantId,
    comment: &str,
    method: Option<Method>,
    who: &AsArgs,
    format: LineFormat,
) -> Result<(), Failure> {
    let api = Api::of(who)?;
    let matter = Matter::review(&api, id).told(format);
    let Some(mut body) = matter.proof_by_what_there_is(method)? else {
        meanwhile("on your device, say what you found", format)?;
        matter.wait_for_device()?;
        // It is not listed any more once somebody has reviewed it.
        let now = settled(|| Ok(find(&api, &id.to_string())?.unwrap_or_default()), Value::is_null)?;
        return if now.is_null() { reviewed(id, format) } else { Err(unanswered(id)) };
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("comment".to_owned(), json!(comment));
    }
    api.post(&format!("{PATH}/{id}/review"), &body)?;
    reviewed(id, format)
}

fn unanswered(id: GrantId) -> Failure {
    Failure::no(format!("{id}: your device has not answered; it waits to be reviewed"))
}

/// Says that it was.
pub(super) fn reviewed(id: GrantId, format: LineFormat) -> Result<(), Failure> {
    let done = Done::new("break-glass review").with("grant", id.to_string()).with("state", "reviewed");
    done.say(&format!("{id}: reviewed"), format)
}

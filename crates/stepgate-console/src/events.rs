//! News of requests as they happen (server-sent events, WHATWG HTML section 9.2), for those who see them. A stream says
//! no more than that something changed and what state it is in.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::json;
use stepgate_types::{PersonName, RequestId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::requests;

/// Streams of one person: a few pages open at a time.
const MAX_OF_PERSON: usize = 6;

/// Streams in all: a quarter of the connections there may be, so that whoever watches keeps nobody from answering.
const MAX_STREAMS: usize = 128;

/// How often a silent stream shows that it lives, and that its login still does.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// News that a slow reader may lag behind.
const BUFFER: usize = 16;

/// Who watches.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<PersonName, usize>>);

/// One who watches, until dropped.
struct Place {
    streams: Arc<Streams>,
    person: PersonName,
}

impl Streams {
    fn enter(self: &Arc<Self>, person: &PersonName) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= MAX_STREAMS {
            return None;
        }
        let own = counts.entry(person.clone()).or_default();
        if *own >= MAX_OF_PERSON {
            return None;
        }
        *own += 1;
        Some(Place { streams: Arc::clone(self), person: person.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.person) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.remove(&self.person);
            }
        }
    }
}

/// What a stream's connection reads.
struct Reader(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Reader {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

pub(crate) async fn watch(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response, Problem> {
    let place = api.streams.enter(&caller.person.name).ok_or_else(|| {
        let message = "too many pages of yours watch this gate; close one".to_owned();
        Problem::throttled("too_many_streams", message, HEARTBEAT.as_secs())
    })?;
    let (sender, receiver) = mpsc::channel(BUFFER);
    // From here on nothing is missed: a page that hears that the stream is open looks once at how things stand.
    let news = api.parts.desk.watch();
    tokio::spawn(tell(api, caller, news, sender, place));
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::new(Reader(receiver))).into_response())
}

/// Tells a stream what happens, until its reader has gone, its login has ended, or the gate stops.
async fn tell(
    api: Arc<Api>,
    caller: Caller,
    mut news: broadcast::Receiver<RequestId>,
    sender: mpsc::Sender<Bytes>,
    place: Place,
) {
    let mut closing = api.closing.subscribe();
    if sender.send(Bytes::from_static(b"retry: 5000\n\n")).await.is_err() {
        return;
    }
    loop {
        let chunk = tokio::select! {
            _ = closing.wait_for(|closing| *closing) => break,
            () = sender.closed() => break,
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b":\n\n")),
            next = news.recv() => match next {
                Ok(request) => seen(&api, &caller, request),
                // Some were missed: whoever looks at a list looks again.
                Err(RecvError::Lagged(_)) => Some(Bytes::from_static(b"event: missed\ndata: {}\n\n")),
                Err(RecvError::Closed) => break,
            },
        };
        if !caller.is_logged_in(&api) {
            break;
        }
        // Who does not read is not waited for: a browser comes again by itself.
        if chunk.is_some_and(|chunk| sender.try_send(chunk).is_err()) {
            break;
        }
    }
    drop(place);
}

/// The news of a request, if it is for this person. Membership is looked up each time.
fn seen(api: &Api, caller: &Caller, request: RequestId) -> Option<Bytes> {
    let person = api.parts.people.get(&caller.person.name)?;
    let info = api.parts.desk.request(request).filter(|info| requests::sees(api, &person, info))?;
    let data = json!({
        "request": info.request,
        "state": info.state,
        "approvals": info.approvers.len(),
        "count": info.count,
        "groups": info.groups,
        "comments": info.comment_count,
    });
    Some(Bytes::from(format!("event: request\ndata: {data}\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_streams_and_a_closed_one_is_free_again() {
        let streams = Arc::new(Streams::default());
        let name = |n: usize| -> PersonName { format!("person{n}").parse().unwrap() };
        let mut places: Vec<_> = (0..MAX_OF_PERSON).filter_map(|_| streams.enter(&name(0))).collect();
        assert_eq!(places.len(), MAX_OF_PERSON);
        assert!(streams.enter(&name(0)).is_none());
        places.pop();
        places.extend(streams.enter(&name(0)));
        assert_eq!(places.len(), MAX_OF_PERSON);
        places.extend((1..1000).filter_map(|n| streams.enter(&name(n))));
        assert_eq!(places.len(), MAX_STREAMS);
        drop(places);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}

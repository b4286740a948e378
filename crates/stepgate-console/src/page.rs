//! The page behind the link of a notice. It knows nothing of any request: the same for every id.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use stepgate_types::RequestId;

/// What to type. Only an id in its canonical form is repeated, never what was in the URL.
pub(crate) async fn request(Path(id): Path<String>) -> Response {
    let id = id.parse::<RequestId>().map_or_else(|_| "REQUEST".to_owned(), |id| id.to_string());
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Stepgate</title>\n\
         <h1>A statement may be waiting for you</h1>\n\
         <p>This page cannot approve anything, and says nothing of what is asked. In a terminal:</p>\n\
         <p>If you sent the statement yourself:</p>\n<pre>stepgate verify {id}</pre>\n\
         <p>If somebody else sent it, read it first:</p>\n\
         <pre>stepgate request show {id}\nstepgate request approve {id}\nstepgate request deny {id} --reason \"…\"</pre>\n\
         <p>If you did not expect this, somebody may be using your account: deny it and tell whoever runs \
         the gate.</p>\n</html>\n"
    ))
    .into_response()
}

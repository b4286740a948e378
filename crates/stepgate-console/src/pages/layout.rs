//! What all pages share.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use stepgate_approval::Method;

use crate::caller::Caller;
use crate::problem::Problem;

/// A page. `title` holds nothing of any statement: it ends up in histories and on shared screens.
pub(crate) fn page(title: &str, caller: Option<&Caller>, main: &Markup) -> impl IntoResponse + use<> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(caller) = caller { meta name="proof" content=(caller.proof()); }
                title { (title) " – Stepgate" }
                link rel="stylesheet" href="/assets/stepgate.css";
                script src="/assets/stepgate.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    a.name href="/" { "Stepgate" }
                    @if let Some(caller) = caller { (bar(caller)) }
                }
                main #main tabindex="-1" { (main) }
            }
        }
    };
    Html(page.into_string())
}

fn bar(caller: &Caller) -> Markup {
    html! {
        nav aria-label="Pages" {
            a href="/" { "Requests" }
            a href="/enrol" { "Authenticators" }
        }
        form.out method="post" action="/logout" {
            (proof(caller))
            span.who { (caller.person.name) }
            button.plain { "Log out" }
        }
    }
}

/// Loads the same address again, from here.
pub(crate) fn again() -> impl IntoResponse {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="0";
                title { "Stepgate" }
            }
            body { main { p { "One moment. If nothing happens, reload this page." } } }
        }
    };
    Html(page.into_string())
}

/// What makes a form one of this login's pages.
pub(crate) fn proof(caller: &Caller) -> Markup {
    html! { input type="hidden" name="proof" value=(caller.proof()); }
}

/// A form of this login's pages, by which something is done.
pub(crate) fn form(caller: &Caller, action: &str, fields: &Markup) -> Markup {
    html! { form.answer method="post" action=(action) { (proof(caller)) (fields) } }
}

/// What went wrong, where it is read first.
pub(crate) fn alert(problem: Option<&Problem>) -> Markup {
    html! {
        @if let Some(problem) = problem {
            p.alert role="alert" #problem tabindex="-1" {
                (sentence(problem.message()))
                @if let Some(method) = problem.instead() { " " (sentence(other_way(method))) }
            }
        }
    }
}

/// What to do on a page where one method does not work.
const fn other_way(method: Method) -> &'static str {
    match method {
        Method::Totp => "use the code of your authenticator app instead",
        Method::Recovery => "use one of your recovery codes instead",
        Method::Passkey => "use your passkey instead",
        Method::Push => "use your device instead",
        Method::Oidc => "log in again at the identity provider instead",
        Method::Email => "have a code sent to you by e-mail instead",
        Method::Sms => "have a code sent to you by text message instead",
    }
}

/// The page of a problem that has no other.
pub(crate) fn problem(problem: &Problem) -> impl IntoResponse + use<> {
    let main = html! {
        h1 { "That did not work" }
        (alert(Some(problem)))
        p { a href="/" { "To your requests" } }
    };
    page("Not done", None, &main)
}

/// A page, by itself or in answer to what went wrong.
pub(crate) fn answer(problem: Option<&Problem>, page: impl IntoResponse) -> Response {
    match problem {
        None => page.into_response(),
        Some(problem) => problem.with_page(page),
    }
}

/// A field for the code that an authenticator app shows, or for one of a list.
pub(crate) fn code(label: &str, focus: bool) -> Markup {
    html! {
        (field(label, focus, false))
        p.help #code-help { "Six digits from your authenticator app. Each counts once." }
        details {
            summary { "Use a recovery code" }
            label for="recovery" { "Recovery code" }
            input #recovery name="recovery" type="text" autocomplete="off" autocapitalize="characters"
                spellcheck="false" maxlength="32";
        }
    }
}

/// The same for a code alone.
pub(crate) fn code_only(label: &str, focus: bool) -> Markup {
    html! {
        (field(label, focus, true))
        p.help #code-help { "Digits alone. Each code counts once." }
    }
}

/// Browsers and phones know what to put there by these words.
fn field(label: &str, focus: bool, required: bool) -> Markup {
    html! {
        label for="code" { (label) }
        input #code name="code" type="text" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9 ]*"
            maxlength="10" required[required] autofocus[focus] aria-describedby="code-help";
    }
}

/// Messages are written as parts of sentences; here they stand by themselves.
pub(crate) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

//! Where a passkey is used. Browsers offer them to scripts alone (`assets/passkey.js`), so all of it is hidden until
//! the script has found that it works.

use maud::{Markup, html};
use stepgate_approval::Method;
use stepgate_store::{AuthenticatorInfo, MethodInfo};

use super::layout;
use crate::caller::Caller;

/// Where challenges are made for changing one's own authenticators.
pub(crate) const OWN: &str = "/api/v1/challenges";

/// Whether one of these is a passkey, and works.
pub(crate) fn is_offered(methods: &[MethodInfo]) -> bool {
    methods.iter().any(|it| it.method == Method::Passkey && it.available)
}

/// The script; once a page.
pub(crate) fn script() -> Markup {
    html! { script src="/assets/passkey.js" defer {} }
}

/// Answers a request: `verb` is that of the API.
pub(crate) fn button(verb: &'static str, words: &str, disabled: bool) -> Markup {
    html! {
        button.no[verb == "deny"] type="button" hidden data-passkey=(verb) disabled[disabled] { (words) }
    }
}

/// Sends its form with a fresh proof by a passkey in the place of a code: the answer to a challenge that is made there.
pub(crate) fn in_form(words: &str, challenges: &str) -> Markup {
    html! { button.plain type="button" hidden data-passkey="form" data-challenges=(challenges) { (words) } }
}

/// Enrols one, by what the person has, or by a code of the operator's.
pub(crate) fn enrolment(caller: &Caller, own: &[AuthenticatorInfo]) -> Markup {
    let has = |method| own.iter().any(|it| it.method == method);
    html! {
        section data-passkey="enrol" hidden {
            h2 { "A new passkey" }
            p { "A fingerprint, face or PIN of this device, or a security key. It cannot be phished." }
            form {
                (layout::proof(caller))
                label for="passkey-name" { "What you call it" }
                input #passkey-name name="name" type="text" maxlength="40" autocomplete="off"
                    placeholder="Laptop";
                @if has(Method::Passkey) { input type="hidden" name="has_passkey" value="1"; }
                @if has(Method::Totp) {
                    label for="passkey-code" { "Code of your authenticator app"
                        @if has(Method::Passkey) { " (or a passkey you have)" }
                    }
                    input #passkey-code name="code" type="text" inputmode="numeric" autocomplete="one-time-code"
                        maxlength="8";
                }
                @if !has(Method::Passkey) { (enrolment_code(caller, "passkey-enrolment", "Enrolment code")) }
                button type="button" data-passkey="enrol" hidden { "Make a passkey" }
            }
        }
        p data-no-passkey hidden { "This browser has no passkeys." }
        (script())
    }
}

/// A field for what lets somebody enrol who has nothing yet that is as strong.
pub(crate) fn enrolment_code(caller: &Caller, id: &str, label: &str) -> Markup {
    let help = format!("{id}-help");
    html! {
        label for=(id) { (label) }
        input id=(id) name="enrolment_code" type="text" autocomplete="off" maxlength="40" aria-describedby=(help);
        p.help id=(help) {
            "Whoever runs the gate makes one: stepgate user enroll-code " (caller.person.name)
        }
    }
}

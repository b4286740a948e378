//! By what somebody proves themselves for something: one form, a button for each method that they have and that does.

use maud::{Markup, html};
use stepgate_approval::Method;
use stepgate_store::MethodInfo;

use super::{layout, passkey, push, text};
use crate::caller::Caller;

/// What is done by a fresh proof on a page of its own, a request excepted: that has two answers, and who asked.
pub(crate) struct Matter {
    /// The address of its page, below which its forms go.
    pub(crate) at: String,
    /// The same in the API, where its challenges are made.
    pub(crate) api: String,
    /// What is done, as addresses have it.
    pub(crate) verb: &'static str,
    /// The same as buttons begin: `Approve`.
    pub(crate) does: &'static str,
}

fn has(offered: &[MethodInfo], method: Method) -> bool {
    offered.iter().any(|it| it.method == method && it.available)
}

/// The form. `fields` is what is to be said besides; on a device it is said there.
pub(crate) fn form(caller: &Caller, matter: &Matter, offered: &[MethodInfo], fields: &Markup) -> Markup {
    let by_code = has(offered, Method::Totp) || has(offered, Method::Recovery);
    let by_passkey = has(offered, Method::Passkey);
    let Matter { at, api, verb, does } = matter;
    let all = html! {
        (fields)
        @if by_code { (layout::code("Code", false)) }
        div.buttons {
            @if by_code { button { (does) " by the code" } }
            @if by_passkey { (passkey::in_form(&format!("{does} by passkey"), &format!("{api}/challenge"))) }
            @if let Some(device) = push::device(offered) {
                button.plain formaction={ (at) "/push" } formnovalidate { (does) " on your device (" (device) ")" }
            }
            @if has(offered, Method::Oidc) {
                button.plain formaction={ (at) "/oidc" } { (does) " by another login at the identity provider" }
            }
        }
        @if by_passkey { p.help data-no-passkey hidden { "This browser has no passkeys." } }
    };
    html! {
        (lacking(offered))
        @if offered.iter().any(|it| it.available) {
            (layout::form(caller, &format!("{at}/{verb}"), &all))
        }
        (out_of_order(offered))
        @if by_passkey { (passkey::script()) }
    }
}

/// Says so where the person has nothing that would do.
pub(crate) fn lacking(offered: &[MethodInfo]) -> Markup {
    html! {
        @if offered.is_empty() {
            p.alert { "You have no authenticator that proves as much as this asks for. "
                a href="/enrol" { "Your authenticators" }
            }
        }
    }
}

/// Why others do not work now: with what is left, somebody goes on.
pub(crate) fn out_of_order(offered: &[MethodInfo]) -> Markup {
    let all = offered.iter().filter(|it| !it.available).filter_map(|it| Some((it, it.why.as_deref()?)));
    html! {
        @for (it, why) in all {
            p.help { (it.method.as_str()) " does not work now: " (text::visible(why)) }
        }
    }
}

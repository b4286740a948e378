//! What people do from where they sit, over the gate's HTTPS API.

mod approve;
mod ask;
mod decide;
mod device;
mod device_key;
mod device_login;
mod glass;
mod grant;
mod http;
mod leave;
mod login;
mod logins;
mod loopback;
mod patience;
mod pgfiles;
mod prove;
mod psql;
mod request;
mod watch;

pub(crate) use approve::approve_policy;
pub(crate) use ask::{comment, not_me, open, until};
pub(crate) use decide::{answer, cancel, verify};
pub(crate) use device::{device, enroll as enroll_device};
pub(crate) use glass::{
    COLUMNS as GLASS_COLUMNS, ask as glass_ask, end as glass_end, ls as glass_ls, review as glass_review,
};
pub(crate) use grant::{COLUMNS as GRANT_COLUMNS, ls as grant_ls, revoke as grant_revoke};
pub(crate) use http::Api;
pub(crate) use leave::enrol_address;
pub(crate) use login::login;
pub(crate) use request::{COLUMNS as REQUEST_COLUMNS, ls, show};
pub(crate) use watch::watch;

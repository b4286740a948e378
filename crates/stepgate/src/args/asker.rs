//! Who sends statements that are only tried out, from where and when.

use std::net::IpAddr;

use clap::Args;
use stepgate_types::{GroupName, PersonName};

#[derive(Debug, Args)]
pub(crate) struct AskerArgs {
    /// Who sends it.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) person: PersonName,
    /// Their groups.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) groups: Vec<GroupName>,
    /// They are a service.
    #[arg(long)]
    pub(crate) service: bool,
    /// The address they come from.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) from: IpAddr,
    /// When: 2026-07-06T03:00:00+02:00, or how long ago (90d); default: now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// `application_name`.
    #[arg(long, value_name = "NAME", default_value = "psql")]
    pub(crate) client: String,
    /// Through which database of the configuration; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// The role used upstream; default: the one that the configuration gives these groups.
    #[arg(long, value_name = "ROLE")]
    pub(crate) db_user: Option<String>,
    /// What it is for (`stepgate.purpose`).
    #[arg(long, value_name = "TEXT")]
    pub(crate) purpose: Option<String>,
}

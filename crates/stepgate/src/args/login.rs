//! `stepgate login`, as clap reads it.

use std::path::PathBuf;

use clap::Args;
use stepgate_types::PersonName;

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Who you are; with --oidc and --device, the identity provider says it.
    #[arg(required_unless_present_any = ["oidc", "device", "logout"])]
    pub(crate) name: Option<PersonName>,
    /// Log in at the identity provider, in a browser on this machine, instead of by a password.
    #[arg(long)]
    pub(crate) oidc: bool,
    /// The same with a code that you type in a browser on another machine, where there is none on this one.
    #[arg(long, conflicts_with = "oidc")]
    pub(crate) device: bool,
    /// Ask for a code besides the password, where the gate shows what others ask to no password alone.
    #[arg(long, conflicts_with_all = ["oidc", "device", "logout"])]
    pub(crate) code: bool,
    /// Have a password for databases minted, good for hours, and put it where psql finds it.
    #[arg(long, conflicts_with = "logout")]
    pub(crate) psql: bool,
    /// With --psql, the host of the databases' address, where it is not that of the API.
    #[arg(long, value_name = "HOST", requires = "psql")]
    pub(crate) host: Option<String>,
    /// With --psql, a database besides those that the gate names (of which it knows only a pattern).
    #[arg(long, value_name = "NAME", requires = "psql")]
    pub(crate) database: Vec<String>,
    /// Log out: ends the login and the password that it minted, and takes that away from where psql finds it.
    #[arg(long, conflicts_with_all = ["oidc", "device"])]
    pub(crate) logout: bool,
    /// Address of the gate's API, such as https://gate.example; from the configuration where there is one.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The CA that signed the gate's certificate (PEM); default: the configuration's, else the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

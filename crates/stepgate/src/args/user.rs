//! `stepgate user`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stepgate_types::{GroupName, PersonName};

use super::{AsArgs, Format, LineFormat, ListArgs, SayArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person
    #[command(after_help = "Example:\n  stepgate user add dana --groups analysts")]
    Add {
        /// The name they connect with.
        name: PersonName,
        /// Their groups, as policies name them.
        #[arg(long, value_delimiter = ',')]
        groups: Vec<GroupName>,
        /// A program, not a person: it never gets a step-up of its own.
        #[arg(long)]
        service: bool,
        /// Read the password from this file's first line (`-`: standard input) instead of asking.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Their account at the identity provider (its `sub`): they have no password here.
        #[arg(long, value_name = "SUB", conflicts_with_all = ["service", "password_file"])]
        oidc: Option<String>,
        /// Their name in the directory: they have no password here, until one is set.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["service", "password_file", "oidc"])]
        ldap: Option<String>,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Link somebody's account at the identity provider, or in the directory, to them
    #[command(
        after_help = "Examples:\n  stepgate user link dana --oidc 00u1a2b3c4\n  stepgate user link dana --ldap dscully"
    )]
    Link {
        /// Whose.
        name: PersonName,
        #[command(flatten)]
        account: AccountArgs,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Take an account away from somebody, with the groups and passwords that they have by it
    #[command(after_help = "Example:\n  stepgate user unlink dana oidc")]
    Unlink {
        /// Whose.
        name: PersonName,
        /// Where.
        #[arg(value_enum)]
        source: AccountSource,
        #[command(flatten)]
        say: SayArgs,
    },
    /// List people
    #[command(after_help = "Example:\n  stepgate user ls -o csv")]
    Ls(ListArgs),
    /// Remove a person, their factors and grants
    #[command(after_help = "Example:\n  stepgate user rm dana")]
    Rm {
        /// Whom.
        name: PersonName,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Set a person's password
    #[command(after_help = "Example:\n  stepgate user passwd dana")]
    Passwd {
        /// Whose.
        name: PersonName,
        /// Read the password from this file's first line (`-`: standard input) instead of asking.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Set a person's groups
    #[command(
        after_help = "Example:\n  stepgate user groups dana analysts,data-owners\n  stepgate user groups dana   (none)"
    )]
    Groups {
        /// Whose.
        name: PersonName,
        /// All their groups from now on.
        #[arg(value_delimiter = ',')]
        groups: Vec<GroupName>,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Make a code by which a person may enrol their first authenticator: good once, for ten minutes
    #[command(
        name = "enroll-code",
        after_help = "Example:\n  stepgate user enroll-code dana\n\nHand it over in person or by telephone, to somebody you know: with their password it is all that is needed."
    )]
    EnrollCode {
        /// For whom.
        name: PersonName,
        /// The code alone, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: LineFormat,
    },
    /// Factors: list, remove, unlock, reset
    #[command(subcommand, after_help = "Example:\n  stepgate user factor ls dana")]
    Factor(FactorCommand),
    /// Lend a person's right to approve to a colleague for a while, or take it back
    #[command(
        after_help = "Examples:\n  stepgate user delegate omar --to amir --until 2026-12-31 --groups data-owners\n  stepgate user delegate omar --to amir --end\n\nThe colleague answers as one person, never for requests of who lent it, and never beside them by the same right."
    )]
    Delegate {
        /// Whose right.
        name: PersonName,
        /// To whom.
        #[arg(long, value_name = "NAME")]
        to: PersonName,
        /// From when on; default: now.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Until when: a time, or how long from now (14d); at most 90 days.
        #[arg(long, value_name = "TIME", required_unless_present = "end")]
        until: Option<String>,
        /// For which of their groups.
        #[arg(long, value_delimiter = ',', required_unless_present = "end")]
        groups: Vec<GroupName>,
        /// Take it back.
        #[arg(long, conflicts_with_all = ["from", "until", "groups"])]
        end: bool,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Say what a person's client certificate is for, where not for the name they connect with
    #[command(
        after_help = "Examples:\n  stepgate user cert dana 'Dana Scully' dana@corp.example\n  stepgate user cert dana   (their own name again)\n\nClients show certificates where tls.client_ca is configured."
    )]
    Cert {
        /// Whose.
        name: PersonName,
        /// Common names, or alternative names (e-mail, host); a certificate must have one of them.
        certificates: Vec<String>,
        #[command(flatten)]
        say: SayArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FactorCommand {
    /// List a person's authenticators
    #[command(after_help = "Example:\n  stepgate user factor ls dana -o json")]
    Ls {
        /// Whose.
        name: PersonName,
        /// How to write the list.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Remove an authenticator that is lost; its owner's grants and open requests end at once
    #[command(after_help = "Example:\n  stepgate user factor rm dana totp-3f9a12bc")]
    Rm {
        /// Whose.
        name: PersonName,
        /// Which, as listed.
        id: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Let an authenticator be tried again after too many wrong codes
    #[command(after_help = "Example:\n  stepgate user factor unlock dana totp-3f9a12bc")]
    Unlock {
        /// Whose.
        name: PersonName,
        /// Which, as listed.
        id: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Ask for all authenticators of a person to be removed; somebody else has to confirm it
    #[command(
        after_help = "Example:\n  stepgate user factor reset dana\n\nThen, within a day, another person: stepgate user factor confirm dana --as omar\nAnd then: stepgate user enroll-code dana"
    )]
    Reset {
        /// Whose.
        name: PersonName,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Confirm a reset that the operator has asked for, by a code of your own
    #[command(after_help = "Example:\n  stepgate user factor confirm dana --as omar")]
    Confirm {
        /// Whose factors are to be removed.
        name: PersonName,
        #[command(flatten)]
        who: AsArgs,
        #[command(flatten)]
        say: SayArgs,
    },
}

/// One account.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AccountArgs {
    /// At the identity provider: its `sub`, never a name that people choose.
    #[arg(long, value_name = "SUB")]
    pub(crate) oidc: Option<String>,
    /// In the directory: what `{name}` stands for in the filter of people.
    #[arg(long, value_name = "NAME")]
    pub(crate) ldap: Option<String>,
}

/// Where somebody has an account.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AccountSource {
    /// At the identity provider.
    Oidc,
    /// In the directory.
    Ldap,
}

//! The directory of the configuration: which groups somebody is in. It says nothing of passwords, and nobody logs in by it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry, SearchOptions, ldap_escape};
use stepgate_console::oidc::{Groups, Rules};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{Directory, DirectoryPlace};
use crate::deliver;
use crate::failure::Failure;
use crate::secret;

/// How long connecting may take, and each answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long looking one person up may take in all.
const LOOK: Duration = Duration::from_secs(15);

/// Groups of a person that are read: beyond, it is not of a person.
const MAX_GROUPS: usize = 2_000;

/// The longest name that is looked for, in bytes.
const MAX_NAME: usize = 255;

/// Who asks: a name there, and the file with its password.
type Bind = Option<(String, PathBuf)>;

/// Looks people up.
pub(crate) struct Lookup {
    directory: Directory,
    tls: Arc<rustls::ClientConfig>,
}

/// An open connection, and what drives it.
pub(crate) struct Connection {
    ldap: Ldap,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What the directory knows of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Somebody, in these groups, as they are called here.
    Somebody(Groups),
    /// Nobody, or several: who of them is meant would be a guess.
    Nobody,
}

/// Why somebody could not be looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The directory answers, and does not say it of them: of others it may.
    Refused(String),
    /// It does not answer, or does not serve at the moment.
    Away(String),
}

impl From<ldap3::LdapError> for Trouble {
    fn from(error: ldap3::LdapError) -> Self {
        match error {
            ldap3::LdapError::LdapResult { result } => Self::result(result.rc, "it refuses"),
            other => Self::Away(said(other)),
        }
    }
}

impl Trouble {
    /// RFC 4511 appendix A: busy and unavailable are of the directory, all others of what was asked.
    fn result(code: u32, what: &str) -> Self {
        let why = format!("{what} (result {code})");
        if matches!(code, 51 | 52) { Self::Away(why) } else { Self::Refused(why) }
    }
}

impl Lookup {
    /// By the configuration. Asks nobody yet: a gate starts without its directory.
    pub(crate) fn new(directory: &Directory) -> Result<Self, Failure> {
        let tls = deliver::client_config(directory.ca.as_deref())?;
        let lookup = Self { directory: directory.clone(), tls };
        password(&lookup.directory.bind)?;
        Ok(lookup)
    }

    /// How often everybody is looked up.
    pub(crate) const fn refresh(&self) -> Duration {
        self.directory.refresh
    }

    /// How long what it says counts.
    pub(crate) const fn hold(&self) -> Duration {
        self.directory.rules.hold
    }

    /// Connects, and says who asks. The password is read anew each time: it may have been changed.
    pub(crate) async fn connect(&self) -> Result<Connection, String> {
        let Directory { url, start_tls, bind, .. } = &self.directory;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(PATIENCE)
            .set_starttls(*start_tls)
            .set_config(Arc::clone(&self.tls));
        let opening = timeout(PATIENCE, LdapConnAsync::with_settings(settings, url)).await;
        let (connection, mut ldap) = opening.map_err(|_| "it does not answer in time")?.map_err(said)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "the connection to the directory has ended");
            }
        });
        if let Some((dn, _)) = bind {
            let password = password(bind).map_err(|failure| failure.message)?;
            let bound =
                ldap.with_timeout(PATIENCE).simple_bind(dn, password.as_deref().map_or("", String::as_str));
            bound.await.map_err(said)?.success().map_err(said)?;
        }
        Ok(Connection { ldap, driver })
    }

    /// Looks somebody up.
    pub(crate) async fn find(&self, connection: &mut Connection, name: &str) -> Result<Found, Trouble> {
        timeout(LOOK, self.look(&mut connection.ldap, name))
            .await
            .map_err(|_| Trouble::Away("it does not answer in time".to_owned()))?
    }

    /// Says goodbye.
    pub(crate) async fn close(&self, mut connection: Connection) {
        // Whether it hears that does not matter.
        let _ = timeout(PATIENCE, connection.ldap.unbind()).await;
    }

    async fn look(&self, ldap: &mut Ldap, name: &str) -> Result<Found, Trouble> {
        let Directory { people, member_of, groups, rules, .. } = &self.directory;
        if name.is_empty() || name.len() > MAX_NAME {
            return Ok(Found::Nobody);
        }
        // 1.1: no attributes (RFC 4511 section 4.5.1.8).
        let wanted = member_of.as_deref().unwrap_or("1.1");
        let found = search(ldap, people, (name, ""), wanted, 2).await?;
        let [person] = found.as_slice() else { return Ok(Found::Nobody) };
        let mut named = BTreeSet::new();
        if let Some(attribute) = member_of {
            named.extend(values(person, attribute).map(str::to_owned));
        }
        let found = match groups {
            Some((place, attribute)) => {
                search(ldap, place, (name, &person.dn), attribute, MAX_GROUPS + 1).await?
            }
            None => Vec::new(),
        };
        if let Some((_, attribute)) = groups {
            named.extend(found.iter().flat_map(|group| values(group, attribute)).map(str::to_owned));
        }
        Ok(Found::Somebody(in_groups(rules, &named)))
    }
}

fn in_groups(rules: &Rules, named: &BTreeSet<String>) -> Groups {
    if named.len() > MAX_GROUPS {
        return Groups::Unreadable;
    }
    rules.of(&named.iter().map(String::as_str).collect())
}

/// The values of an attribute, which go by its name whatever its case.
fn values<'e>(entry: &'e SearchEntry, attribute: &'e str) -> impl Iterator<Item = &'e str> {
    let named = entry.attrs.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(attribute));
    named.flat_map(|(_, values)| values.iter().map(String::as_str))
}

/// What is found, at most so much; the rest is left there.
async fn search(
    ldap: &mut Ldap,
    place: &DirectoryPlace,
    (name, dn): (&str, &str),
    attribute: &str,
    most: usize,
) -> Result<Vec<SearchEntry>, Trouble> {
    let filter = filled(&place.filter, name, dn);
    let limit = i32::try_from(most).unwrap_or(i32::MAX);
    let options = SearchOptions::new().sizelimit(limit);
    let ldap = ldap.with_search_options(options).with_timeout(PATIENCE);
    let mut stream = ldap.streaming_search(&place.base, Scope::Subtree, &filter, vec![attribute]).await?;
    let mut found = Vec::new();
    while let Some(entry) = stream.next().await? {
        // Elsewhere is not where we were told to look.
        if entry.is_ref() || entry.is_intermediate() {
            continue;
        }
        found.push(SearchEntry::construct(entry));
        if found.len() >= most {
            break;
        }
    }
    let result = stream.finish().await;
    /// RFC 4511 appendix A: there are more than were asked for, and those that were are here.
    const SIZE_LIMIT_EXCEEDED: u32 = 4;
    /// ldap3's own: it was not read to its end.
    const NOT_FINISHED: u32 = 88;
    match result.rc {
        0 => Ok(found),
        SIZE_LIMIT_EXCEEDED | NOT_FINISHED if found.len() >= most => Ok(found),
        code => Err(Trouble::result(code, "it refuses the search")),
    }
}

/// A filter with what stands in it for names put in, escaped (RFC 4515 section 3), each once: what is put in is not looked
/// at again.
fn filled(filter: &str, name: &str, dn: &str) -> String {
    let mut filled = String::with_capacity(filter.len() + name.len() + dn.len());
    let mut rest = filter;
    loop {
        let next = [("{name}", name), ("{dn}", dn)]
            .into_iter()
            .filter_map(|(place, value)| rest.split_once(place).map(|(before, after)| (before, after, value)))
            .min_by_key(|(before, ..)| before.len());
        let Some((before, after, value)) = next else { break };
        filled.push_str(before);
        filled.push_str(&ldap_escape(value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn password(bind: &Bind) -> Result<Option<zeroize::Zeroizing<String>>, Failure> {
    let read = bind.as_ref().map(|(_, file)| secret::read_private(file)).transpose()?;
    // RFC 4513 section 5.1.2: a name without a password proves nothing, and succeeds.
    match read {
        Some(password) if password.is_empty() => Err(Failure::usage("ldap.password_file holds no password")),
        read => Ok(read),
    }
}

/// What went wrong, without what the directory's own text may repeat.
fn said(error: ldap3::LdapError) -> String {
    match error {
        ldap3::LdapError::LdapResult { result } => format!("it refuses (result {})", result.rc),
        other => other.to_string(),
    }
}

/// Whether the directory answers, for `check --connect`.
pub(crate) fn check(directory: &Directory) -> Result<(), Failure> {
    let lookup = Lookup::new(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let connection = lookup.connect().await.map_err(|why| {
            Failure::unreachable(format!("{}: {why}", directory.url)).hint("see ldap: of the configuration")
        })?;
        lookup.close(connection).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_is_called_is_never_read_as_a_part_of_the_filter() {
        let filter = "(&(uid={name})(|(member={dn})(memberUid={name})))";
        for (name, dn, expected) in [
            ("dana", "uid=dana,dc=x", "(&(uid=dana)(|(member=uid=dana,dc=x)(memberUid=dana)))"),
            ("*", "", "(&(uid=\\2a)(|(member=)(memberUid=\\2a)))"),
            (
                "a)(uid=*))(|(uid=*",
                "",
                "(&(uid=a\\29\\28uid=\\2a\\29\\29\\28|\\28uid=\\2a)(|(member=)(memberUid=a\\29\\28uid=\\2a\\29\\29\\28|\\28uid=\\2a)))",
            ),
            ("\\2a\0", "", "(&(uid=\\5c2a\\00)(|(member=)(memberUid=\\5c2a\\00)))"),
            // What stands for something in what is put in stands for nothing.
            ("{dn}", "{name}", "(&(uid={dn})(|(member={name})(memberUid={dn})))"),
        ] {
            assert_eq!(filled(filter, name, dn), expected);
        }
        assert_eq!(filled("(objectClass=*)", "dana", ""), "(objectClass=*)");
    }

    #[test]
    fn what_the_directory_refuses_of_one_person_is_told_from_that_it_is_away() {
        // Size, time and other limits, and no such entry, are of who was looked up.
        for code in [3, 4, 11, 32, 53] {
            assert!(matches!(Trouble::result(code, "it refuses"), Trouble::Refused(_)), "{code}");
        }
        for code in [51, 52] {
            assert!(matches!(Trouble::result(code, "it refuses"), Trouble::Away(_)), "{code}");
        }
        let gone = ldap3::LdapError::Io { source: std::io::Error::other("gone") };
        assert!(matches!(Trouble::from(gone), Trouble::Away(_)));
    }
}

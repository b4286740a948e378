//! What the waiting client is told while its statement is held, besides its end: that somebody has approved, that the
//! request goes to more people, that something was said. Names and numbers alone: what was said may hold anything, and a
//! NOTICE ends up in logs of programs.

use std::collections::BTreeSet;

use stepgate_store::{End, RequestInfo};
use stepgate_types::{GroupName, PersonName, RequestId};

use super::{Drive, State};
use crate::refusal::told;

/// NOTICEs of one hold, besides its first and that it goes on: programs that collect them are not to be flooded.
const MAX_TOLD: u32 = 9;

/// What the client knows of the request that it waits for.
#[derive(Default)]
pub(super) struct News {
    request: Option<RequestId>,
    approvers: BTreeSet<PersonName>,
    groups: BTreeSet<GroupName>,
    comments: usize,
    told: u32,
}

impl News {
    /// What there is to tell since the last look. Whoever joins a request is told who has approved it before.
    fn of(&mut self, info: &RequestInfo) -> Vec<stepgate_wire::Problem> {
        let groups: BTreeSet<_> = info.groups.iter().cloned().collect();
        if self.request != Some(info.request) {
            let request = Some(info.request);
            *self = Self { request, groups: groups.clone(), comments: info.comment_count, ..Self::default() };
        }
        let mut news = Vec::new();
        let approvers: BTreeSet<_> = info.approvers.iter().cloned().collect();
        for by in approvers.difference(&self.approvers) {
            news.push(told::vote(info.request, by, approvers.len(), info.count));
        }
        let more: Vec<_> = groups.difference(&self.groups).map(ToString::to_string).collect();
        if !more.is_empty() {
            news.push(told::escalated(info.request, &more));
        }
        if info.comment_count > self.comments {
            news.push(told::comment(info.request));
        }
        (self.approvers, self.groups, self.comments) = (approvers, groups, info.comment_count);
        let left = MAX_TOLD.saturating_sub(self.told);
        news.truncate(usize::try_from(left).unwrap_or(0));
        self.told = self.told.saturating_add(u32::try_from(news.len()).unwrap_or(u32::MAX));
        news
    }
}

impl Drive {
    /// Tells what has happened to the request of a hold that goes on.
    pub(super) fn tell_news(&mut self, state: &mut State) {
        let Some((hold, _)) = &state.hold else { return };
        let info = self.judge.gate.desk.request(hold.waiting.request).filter(RequestInfo::is_open);
        for notice in info.map(|info| state.news.of(&info)).unwrap_or_default() {
            self.session.tell(&notice);
        }
    }

    /// Tells that others have approved what waits: who verifies themselves knows.
    pub(super) fn tell_approved(&mut self, end: &End) {
        let info = self.judge.gate.desk.request(end.request);
        if info.is_some_and(|info| !info.itself) && !end.approvers.is_empty() {
            self.session.tell(&told::approved(end.request, &end.approvers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(approvers: &[&str], groups: &[&str], comment_count: usize) -> RequestInfo {
        RequestInfo {
            request: RequestId::from_bytes([1; 5]),
            state: "open",
            person: "dana".parse().unwrap(),
            database: "shop".to_owned(),
            approval: "four-eyes".to_owned(),
            itself: false,
            groups: groups.iter().map(|name| name.parse().unwrap()).collect(),
            count: 2,
            approvers: approvers.iter().map(|name| name.parse().unwrap()).collect(),
            summary: None,
            waiting: 1,
            comment_count,
            opened: None,
            expires: String::new(),
            ended_by: None,
            reason: None,
            opened_by: None,
            until: None,
        }
    }

    fn said(news: &mut News, info: &RequestInfo) -> Vec<String> {
        news.of(info).into_iter().map(|notice| notice.message).collect()
    }

    #[test]
    fn each_change_is_told_once_and_what_was_said_is_not_repeated() {
        let (mut news, id) = (News::default(), RequestId::from_bytes([1; 5]));
        assert!(said(&mut news, &info(&[], &["owners"], 0)).is_empty());
        let voted = said(&mut news, &info(&["olga"], &["owners"], 0));
        assert_eq!(voted, [format!("{id}: olga has approved, 1 of 2")]);
        assert!(said(&mut news, &info(&["olga"], &["owners"], 0)).is_empty());
        let both = said(&mut news, &info(&["olga"], &["owners", "security"], 1));
        assert_eq!(both.len(), 2);
        assert!(both[0].contains("it goes to security too") && both[1].contains("something was said"));
    }

    #[test]
    fn a_hold_has_few_notices_and_the_next_one_has_its_own() {
        let mut news = News::default();
        let all: usize = (0..100).map(|comments| said(&mut news, &info(&[], &[], comments)).len()).sum();
        assert_eq!(all, 9);
        let other = RequestInfo { request: RequestId::from_bytes([2; 5]), ..info(&["olga"], &[], 100) };
        assert_eq!(said(&mut news, &other).len(), 1);
    }
}

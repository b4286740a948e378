//! Where notices go to: a signed webhook, a room as Slack's are, and a mailbox, each by a program of its own.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::Value;

use crate::receivers::{Python, SECRET};
use crate::support::World;

/// All three, and what each has taken. A line that is not there yet is waited for, up to a test's own time.
pub(crate) struct Rooms {
    posts: Python,
    mail: Python,
    /// Taken by the webhook, and by the chat, and not asked for yet: one may be ahead of the other.
    taken: [VecDeque<Value>; 2],
}

/// One notice, as each of them got it.
pub(crate) struct Told {
    pub(crate) hook: Value,
    pub(crate) slack: String,
    /// Whom the letter is for, its subject, and its text on one line.
    pub(crate) letter: [String; 3],
}

impl Rooms {
    /// Starts them, and configures the gate to tell them. `None`: this machine has no mail server for it.
    pub(crate) fn open(world: &World) -> Option<Self> {
        let posts = Python::start("rooms.py", &[Path::new(SECRET)])?;
        let mail = Python::start("codes.py", &[])?;
        world.secret("hook", SECRET);
        world.secret("slack-url", &format!("http://127.0.0.1:{}/slack", posts.port));
        world.configure(&format!(
            "notify:\n  \
             hook: {{webhook: \"http://127.0.0.1:{}/hook\", secret_file: hook}}\n  \
             chat: {{slack_file: slack-url}}\n  \
             mail: {{email: {{to: owners@corp.example, from: gate@gate.example, smtp: \"127.0.0.1:{}\", tls: none}}}}",
            posts.port, mail.port
        ));
        Some(Self { posts, mail, taken: [VecDeque::new(), VecDeque::new()] })
    }

    /// The next notice, at all three.
    pub(crate) fn next(&mut self) -> Told {
        while self.taken.iter().any(VecDeque::is_empty) {
            let line: Value = serde_json::from_str(&self.posts.line()).unwrap();
            let place = usize::from(line["path"] != "/hook");
            self.taken[place].push_back(line["body"].clone());
        }
        let [hook, slack] = self.taken.each_mut().map(|taken| taken.pop_front().unwrap());
        let line = self.mail.line();
        let letter: Vec<String> = line.split(" | ").map(str::to_owned).collect();
        let slack = slack["text"].as_str().unwrap().to_owned();
        Told { hook, slack, letter: letter.try_into().unwrap() }
    }
}

impl Told {
    /// All of it says that, and none of it anything of these.
    pub(crate) fn says(&self, what: &str, not: &[&str]) {
        let hook = self.hook["text"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [&hook, &self.slack, &self.letter[2]] {
            assert!(text.contains(what), "{what}: {text}");
        }
        assert_eq!(self.letter[0], "owners@corp.example");
        let all = format!("{} {} {}", self.hook, self.slack, self.letter.join(" "));
        for secret in not {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
    }

    /// The command of the program that it says to run, as arguments.
    pub(crate) fn command(&self) -> Vec<String> {
        let text = self.hook["text"].as_str().unwrap();
        let command = text.split('`').nth(1).unwrap();
        let mut words = command.split(' ').map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("stepgate"), "{text}");
        words.collect()
    }
}

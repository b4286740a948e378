//! A notice as chats take it.

use serde_json::{Value, json};

use super::Notice;
use crate::config::ChatKind;

/// As operators see it.
pub(super) fn kind(kind: ChatKind) -> &'static str {
    match kind {
        ChatKind::Slack => "notices to Slack",
        ChatKind::Teams => "notices to Teams",
    }
}

/// What is posted.
pub(super) fn body(kind: ChatKind, notice: &Notice) -> Value {
    match kind {
        // "Formatting text for app surfaces": three characters mean something of their own.
        ChatKind::Slack => {
            let text = notice.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json!({"text": text, "unfurl_links": false, "unfurl_media": false})
        }
        // "Create incoming webhooks with Workflows": an adaptive card of a version that all clients show.
        ChatKind::Teams => json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [
                        {"type": "TextBlock", "text": notice.subject(), "weight": "Bolder", "wrap": true},
                        {"type": "TextBlock", "text": notice.text(), "wrap": true},
                    ],
                    "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": notice.url()}],
                },
            }],
        }),
    }
}

//! What a user keeps about a conversation.

use hubbub_proto::command::ConversationUpdate;
use hubbub_proto::{Reason, Refusal, event};

use crate::model::{Settings, Until};

/// The settings after the command; `None` where it changes nothing. `head` is the last seq that the
/// user may see.
///
/// # Errors
/// `bad_field` where nothing is named, `too_big` for a draft of more than `draft_bytes_max` bytes.
pub fn update(
    known: &Settings,
    command: &ConversationUpdate,
    head: u64,
    draft_bytes_max: usize,
) -> Result<Option<Settings>, Refusal> {
    let ConversationUpdate { pinned, muted_until, hidden, marked_unread, draft, .. } = command;
    let named = [pinned, hidden, marked_unread].into_iter().any(Option::is_some);
    if !named && muted_until.is_none() && draft.is_none() {
        return Err(Refusal::with(Reason::BadField, "Name something that is to change."));
    }
    if draft.as_deref().is_some_and(|draft| draft.len() > draft_bytes_max) {
        let detail = format!("`draft` must have at most {draft_bytes_max} bytes.");
        return Err(Refusal::with(Reason::TooBig, detail));
    }
    let mut next = known.clone();
    if let Some(pinned) = pinned {
        next.pinned = *pinned;
    }
    if let Some(until) = muted_until {
        next.muted = Some(*until).filter(|until| until.0 > 0).map(|end| Until::new(Some(end)));
    }
    if let Some(hidden) = hidden {
        next.hidden_seq = hidden.then_some(head);
    }
    if let Some(marked) = marked_unread {
        next.marked_unread = *marked;
    }
    if let Some(draft) = draft {
        next.draft = Some(draft.clone()).filter(|draft| !draft.is_empty());
    }
    Ok((next != *known).then_some(next))
}

/// The settings as they go out. Whether what is hidden still is, depends on what followed.
#[must_use]
pub fn shown(settings: &Settings, hidden: bool) -> event::Settings {
    event::Settings {
        pinned: settings.pinned,
        muted_until: settings.muted.map(Until::moment),
        hidden,
        marked_unread: settings.marked_unread,
        draft: settings.draft.clone(),
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::Timestamp;

    use super::*;

    fn command(json: &str) -> ConversationUpdate {
        serde_json::from_str(&format!(r#"{{"conversation":"group:g"{json}}}"#)).unwrap()
    }

    #[test]
    fn updates_table() {
        let full = Settings {
            pinned: true,
            muted: Some(Until::new(Some(Timestamp(5)))),
            hidden_seq: Some(3),
            marked_unread: true,
            draft: Some("hm".into()),
        };
        let check = |known: &Settings, json: &str, expect: Result<Option<Settings>, Reason>| {
            let found = update(known, &command(json), 7, 4).map_err(|refusal| refusal.reason);
            assert_eq!(found, expect, "{json}");
        };
        let none = Settings::default();
        check(&none, "", Err(Reason::BadField));
        check(&none, r#","draft":"12345""#, Err(Reason::TooBig));
        check(&none, r#","pinned":false,"draft":null,"muted_until":null,"hidden":false"#, Ok(None));
        check(&none, r#","pinned":true"#, Ok(Some(Settings { pinned: true, ..none.clone() })));
        let hidden = Settings { hidden_seq: Some(7), ..none.clone() };
        check(&none, r#","hidden":true"#, Ok(Some(hidden.clone())));
        check(&hidden, r#","hidden":true"#, Ok(None));
        check(
            &full,
            r#","hidden":true"#,
            Ok(Some(Settings { hidden_seq: Some(7), ..full.clone() })),
        );
        check(&full, r#","draft":"""#, Ok(Some(Settings { draft: None, ..full.clone() })));
        check(&full, r#","draft":null"#, Ok(Some(Settings { draft: None, ..full.clone() })));
        check(&full, r#","draft":"hm""#, Ok(None));
        check(&full, r#","muted_until":0"#, Ok(Some(Settings { muted: None, ..full.clone() })));
        check(&full, r#","muted_until":null"#, Ok(Some(Settings { muted: None, ..full.clone() })));
        let loud = Settings { marked_unread: false, ..full.clone() };
        check(&full, r#","marked_unread":false"#, Ok(Some(loud)));
    }
}

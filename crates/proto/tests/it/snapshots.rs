//! The bytes of every event, ack and error, fixed.

use hubbub_proto::{Event, Reason};

use crate::pretty::pretty;
use crate::samples::{acks, encoded, events, refusals, reply};

#[test]
fn events_have_their_form() {
    let lines: Vec<_> =
        events().iter().map(|(label, event)| format!("# {label}\n{}", encoded(event))).collect();
    insta::assert_snapshot!("events", lines.join("\n"));
}

#[test]
fn acks_have_their_form() {
    let lines: Vec<_> = acks()
        .into_iter()
        .map(|(label, ack)| format!("# {label}\n{}", reply(Some("c-1"), &Ok(ack))))
        .collect();
    insta::assert_snapshot!("acks", lines.join("\n"));
}

#[test]
fn errors_have_their_form() {
    let mut lines: Vec<_> = refusals()
        .into_iter()
        .map(|(label, refusal)| format!("# {label}\n{}", reply(Some("c-1"), &Err(refusal))))
        .collect();
    lines.push(format!("# without id\n{}", reply(None, &Err(Reason::BadJson.into()))));
    for &reason in Reason::ALL {
        lines.push(reply(Some("c-1"), &Err(reason.into())));
    }
    insta::assert_snapshot!("errors", lines.join("\n"));
}

#[test]
fn every_event_type_has_a_sample() {
    for &name in Event::TYPES {
        let sample = events().into_iter().find(|(_, event)| event.type_name() == name);
        let (label, event) = sample.unwrap_or_else(|| panic!("no sample of {name}"));
        assert_eq!(label, name, "the first sample of a type bears its name");
        let json: serde_json::Value = serde_json::from_str(&encoded(&event)).unwrap();
        assert_eq!(json["type"], name);
    }
    for (label, event) in events() {
        assert!(Event::TYPES.contains(&event.type_name()), "{label}");
    }
}

#[test]
fn laid_out_json_is_the_same_json() {
    for (_, event) in events() {
        let json = encoded(&event);
        let (a, b): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&json).unwrap(), serde_json::from_str(&pretty(&json)).unwrap());
        assert_eq!(a, b);
    }
}

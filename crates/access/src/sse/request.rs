//! What a request to `/sse` asks for: which channels, whose events, from where on. Pure.
//!
//! Its order is: is it a request for a stream at all, may the page ask, who speaks, what for. Whatever
//! makes an answer other than 200 makes an `EventSource` give up, so that is only what does not
//! change by itself. Absent: whether the channels may be subscribed to, which the session says.

use std::sync::Arc;

use http::header::{ACCEPT, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use hubbub_proto::{ChannelPattern, DeviceId, Identity, Reason, Refusal};

use crate::credentials::{Credentials, percent_decode};
use crate::handshake::HandshakePolicy;
use crate::origin;
use crate::rejection::Rejection;

use super::position::{self, Position};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream that somebody wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) identity: Arc<Identity>,
    /// Each once.
    pub(crate) channels: Vec<ChannelPattern>,
    /// What is the user's, too.
    pub(crate) user: bool,
    pub(crate) from: From,
}

/// Where a stream is to go on.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum From {
    /// It begins here.
    Now,
    /// Where an earlier one ended.
    Position(Position),
    /// Where an earlier one ended, which is not known any more.
    Lost,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Decision {
    Open(Box<Wanted>),
    /// The stream has ended for good; an `EventSource` that is told 204 does not come again.
    Over,
}

/// Decides about a request.
pub(crate) fn decide(
    request: &Parts,
    policy: &HandshakePolicy,
    channels_max: usize,
    verify: impl Fn(&str, Option<&DeviceId>) -> Result<Identity, Refusal>,
) -> Result<Decision, Rejection> {
    let Parts { method, uri, headers, .. } = request;
    if *method != Method::GET {
        return Err(Rejection::method("GET"));
    }
    if !accepts(headers) {
        return Err(Rejection::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "There is an event stream at this address: accept `text/event-stream`.",
        ));
    }
    if !origin::is_allowed(headers, &policy.allowed_origins) {
        return Err(Rejection::origin());
    }
    let credentials = Credentials::collect(headers, uri.query(), policy);
    if let Some(what) = credentials.malformed {
        return Err(Rejection::bad_request(what));
    }
    let identity =
        credentials.identify(verify).map_err(|refusal| Rejection::unauthorized(&refusal))?;
    let identity = identity.ok_or_else(|| Rejection::unauthorized(&Reason::Unauthorized.into()))?;
    let Query { channels, user, last_event_id } = query(uri.query().unwrap_or_default())?;
    if channels.len() > channels_max {
        let message =
            format!("One stream has at most {channels_max} channels; see sse.channels_max.");
        return Err(Rejection::bad_request(message));
    }
    if channels.is_empty() && !user {
        return Err(Rejection::bad_request(
            "Ask for something: `?channels=NAME,NAME` or `?user=1`.",
        ));
    }
    let mut brought = headers.get_all(LAST_EVENT_ID).iter();
    let from = match (brought.next(), brought.next(), last_event_id) {
        (None, _, None) => From::Now,
        (None, _, Some(text)) => match position::read(&text) {
            // Whoever writes it into the address asks for a stream of their own accord.
            Some(position) => From::Position(Position { is_over: false, ..position }),
            None => From::Lost,
        },
        (Some(_), Some(_), _) => From::Lost,
        (Some(value), None, _) => match value.to_str().ok().map(str::trim) {
            Some("") => From::Now,
            Some(text) => match position::read(text) {
                Some(Position { is_over: true, .. }) => return Ok(Decision::Over),
                Some(position) => From::Position(position),
                None => From::Lost,
            },
            None => From::Lost,
        },
    };
    Ok(Decision::Open(Box::new(Wanted { identity: identity.into(), channels, user, from })))
}

/// Whether an event stream would do.
fn accepts(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT).iter().peekable();
    lines.peek().is_none()
        || lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).any(
            |kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                matches!(kind.as_str(), "text/event-stream" | "text/*" | "*/*")
            },
        )
}

#[derive(Default)]
struct Query {
    channels: Vec<ChannelPattern>,
    user: bool,
    last_event_id: Option<String>,
}

fn query(text: &str) -> Result<Query, Rejection> {
    let mut query = Query::default();
    for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
        // The credentials found each of them to be one.
        let value = percent_decode(value).unwrap_or_default();
        match key {
            // A comma may be part of a name: then it is named alone.
            "channel" => query.add(&value)?,
            "channels" => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    query.add(name)?;
                }
            }
            "user" => {
                query.user = match &*value {
                    "1" | "true" => true,
                    "" | "0" | "false" => false,
                    _ => return Err(Rejection::bad_request("`user` in the query is 1 or 0.")),
                }
            }
            "last_event_id" => query.last_event_id = Some(value).filter(|id| !id.is_empty()),
            _ => {}
        }
    }
    Ok(query)
}

impl Query {
    fn add(&mut self, name: &str) -> Result<(), Rejection> {
        let channel = ChannelPattern::new(name).map_err(|error| {
            Rejection::bad_request(format!("A name in the query is not a channel: {error}."))
        })?;
        if !self.channels.contains(&channel) {
            self.channels.push(channel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_proto::UserId;

    const PAGE: &str = "https://app.example";

    fn alice() -> Identity {
        Identity {
            user: UserId::new("alice").unwrap(),
            name: None,
            roles: Box::default(),
            device: DeviceId::new("made-up").unwrap(),
            device_named: false,
            expires_at: None,
            issued_at: None,
            rare: None,
            authority: hubbub_proto::route::Authority::default(),
        }
    }

    fn ask(target: &str, lines: &[(&str, &str)]) -> Result<Decision, Rejection> {
        let mut request = http::Request::get(target).header("host", "here");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let policy = HandshakePolicy {
            allowed_origins: vec![PAGE.into()],
            cookie: "hubbub_token".into(),
            ..HandshakePolicy::default()
        };
        let (parts, ()) = request.body(()).unwrap().into_parts();
        decide(&parts, &policy, 2, |token, _| match token {
            "good" => Ok(alice()),
            _ => Err(Reason::BadToken.into()),
        })
    }

    fn wanted(target: &str, lines: &[(&str, &str)]) -> Wanted {
        match ask(target, lines) {
            Ok(Decision::Open(wanted)) => *wanted,
            other => panic!("{target} {lines:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_asked_for() {
        let check = |query: &str, names: &[&str], user: bool| {
            let found = wanted(&format!("/sse?token=good&{query}"), &[]);
            let channels: Vec<_> = found.channels.iter().map(ChannelPattern::as_str).collect();
            assert_eq!((&*channels, found.user), (names, user), "{query}");
            assert_eq!(found.from, From::Now);
        };
        check("channels=news:a", &["news:a"], false);
        check("channels=news:a,news:b,news:a,", &["news:a", "news:b"], false);
        check("channels=news%3Aa%2Cnews%3Ab&user=1", &["news:a", "news:b"], true);
        check("channel=news:a%2Cb&channel=news:c&other=1", &["news:a,b", "news:c"], false);
        check("user=true", &[], true);
    }

    #[test]
    fn what_is_refused() {
        let check = |target: &str, lines: &[(&str, &str)], status: u16| {
            let refused = ask(target, lines).unwrap_err();
            assert_eq!(refused.status.as_u16(), status, "{target} {lines:?} {}", refused.message);
        };
        let good = "/sse?channels=news:a&token=good";
        check("/sse?channels=news:a", &[], 401);
        check("/sse?channels=news:a&token=bad", &[], 401);
        check("/sse?channels=news:a", &[("authorization", "Basic x")], 401);
        check("/sse?channels=news:a", &[("cookie", "hubbub_token=good")], 401);
        check(good, &[("origin", "https://evil.example")], 403);
        check(good, &[("accept", "application/json")], 406);
        check("/sse?token=good", &[], 400);
        check("/sse?token=good&user=0", &[], 400);
        check("/sse?token=good&user=yes", &[], 400);
        check("/sse?token=good&channels=user:a", &[], 400);
        check("/sse?token=good&channels=x", &[], 400);
        check("/sse?token=good&channels=news:%zz", &[], 400);
        check("/sse?token=good&channels=news:a,news:b,news:c", &[], 400);
    }

    #[test]
    fn cookies_of_pages_that_may() {
        let cookie = ("cookie", "hubbub_token=good");
        wanted("/sse?user=1", &[cookie, ("origin", PAGE)]);
        // A browser leaves the origin out where the page is the server's own.
        wanted("/sse?user=1", &[cookie, ("sec-fetch-site", "same-origin")]);
        for site in ["cross-site", "same-site", "none"] {
            assert!(ask("/sse?user=1", &[cookie, ("sec-fetch-site", site)]).is_err(), "{site}");
        }
    }

    #[test]
    fn where_it_goes_on() {
        let target = "/sse?channels=news:a&token=good";
        let text = "1-00000001.00000002.3";
        let from = |id: &str| wanted(target, &[("last-event-id", id)]).from;
        let position = From::Position(position::read(text).unwrap());
        assert_eq!(from(text), position);
        assert_eq!(from(""), From::Now);
        assert_eq!(from("17"), From::Lost);
        let by_query = |id: &str| wanted(&format!("{target}&last_event_id={id}"), &[]).from;
        assert_eq!(by_query(text), position);
        assert_eq!(by_query("17"), From::Lost);
        assert_eq!(by_query("1-over-00000001.00000002.3"), position);
        let over = ask(target, &[("last-event-id", "1-over-00000001.00000002.3")]);
        assert!(matches!(over, Ok(Decision::Over)));
    }
}

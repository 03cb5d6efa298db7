//! Tables and properties of the session.

use proptest::prelude::*;

use super::*;
use crate::DeviceId;
use crate::command::{Auth, ChannelTarget, Conversations, Cursor, GroupInvite, Refresh, Sync};
use crate::{Ack, Channel, GroupId, UserId};

const START: Timestamp = Timestamp(1_000_000_000);

fn limits() -> Limits {
    Limits { commands_per_second: 1_000_000, commands_burst: 1_000_000, ..Limits::default() }
}

fn identity(user: &str, expires_at: Option<u64>) -> Identity {
    Identity {
        user: UserId::new(user).unwrap(),
        name: None,
        roles: Box::default(),
        device: DeviceId::new("device").unwrap(),
        device_named: true,
        expires_at: expires_at.map(Timestamp),
        issued_at: None,
        rare: None,
        authority: crate::route::Authority::default(),
    }
}

fn open(limits: &Limits) -> Session {
    Session::open(Arc::new(identity("alice", None)), 0, START, limits)
}

fn id(text: &str) -> Option<CommandId> {
    CommandId::new(text).ok()
}

fn incoming(id: Option<CommandId>, command: Command) -> Result<Incoming, Box<Malformed>> {
    Ok(Incoming { id, command })
}

fn some() -> Command {
    Command::Read(Cursor { conversation: conversation(9), seq: 1 })
}

fn a_read() -> Command {
    Command::Conversations(Conversations::default())
}

fn conversation(n: u8) -> ConversationId {
    ConversationId::new(&format!("group:g{n}")).unwrap()
}

fn received(n: u8, seq: u64) -> Command {
    Command::Received(Cursor { conversation: conversation(n), seq })
}

fn due(session: &mut Session, now: Timestamp, limits: &Limits) -> Vec<String> {
    let mut due = Vec::new();
    session.on_deadline(now, limits, false, &mut due);
    due.iter().map(name).collect()
}

fn name(due: &Due) -> String {
    match due {
        Due::Send(Event::Lag(lag)) => {
            format!("lag {} {:?}", lag.conversation.as_ref().unwrap(), lag.head.unwrap())
        }
        Due::Send(event) => event.type_name().to_owned(),
        Due::Submit(Work::Redeliver { conversation, after, attempt }) => {
            format!("redeliver {conversation} {after} {attempt}")
        }
        Due::Submit(other) => panic!("{other:?}"),
        Due::Close(code) => format!("close {}", code.code()),
    }
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
    // With the two counts of its `Arc`, no more than one of the allocator's blocks of 128 bytes.
    assert!(size_of::<Identity>() + 16 <= 128, "{}", size_of::<Identity>());
}

#[test]
fn what_may_be_said_before_auth() {
    let check = |command: Command, expected: &str| {
        let mut session = Session::awaiting_auth(START, &limits());
        let action = session.on_message(incoming(id("1"), command), START, &limits());
        let got = match action {
            Action::Reply { id: Some(_), outcome: Ok(_) } => "ack".to_owned(),
            Action::Reply { id: Some(_), outcome: Err(refusal) } => refusal.reason.slug().into(),
            Action::Pong { .. } => "pong".into(),
            Action::Authenticate { token, .. } => format!("token {token}"),
            other => format!("{other:?}"),
        };
        assert_eq!(got, expected);
    };
    check(Command::Ping, "pong");
    check(Command::Pong, "ack");
    check(Command::Auth(Auth { token: "t".into(), device: None }), "token t");
    check(Command::Refresh(Refresh { token: "t".into() }), "unauthorized");
    check(some(), "unauthorized");
    check(received(1, 1), "unauthorized");
    check(Command::Sync(Sync::default()), "unauthorized");
}

#[test]
fn tokens() {
    let limits = limits();
    let refused = |reason: Reason, close| Signed::Refused { refusal: reason.into(), close };
    // (before, the outcome of the check, what comes of it, the expiry afterwards)
    let check = |before: Option<Identity>, outcome: Result<Identity, Reason>, expected, expiry| {
        let mut session = match before {
            Some(identity) => Session::open(Arc::new(identity), 0, START, &limits),
            None => Session::awaiting_auth(START, &limits),
        };
        let outcome = outcome.map_err(Refusal::from);
        assert_eq!(session.sign_in(outcome, 0, START, &limits), expected);
        let after = session.identity().and_then(|identity| identity.expires_at);
        assert_eq!(after, expiry);
    };
    let alice = |at| identity("alice", at);
    let (bad, code) = (Reason::BadToken, Some(CloseCode::Unauthorized));
    check(None, Ok(alice(Some(5))), Signed::Opened, Some(Timestamp(5)));
    check(None, Err(bad), refused(bad, code), None);
    check(None, Err(Reason::TokenExpired), refused(Reason::TokenExpired, code), None);
    check(None, Err(Reason::Overloaded), refused(Reason::Overloaded, None), None);
    check(Some(alice(Some(5))), Err(bad), refused(bad, None), Some(Timestamp(5)));
    check(Some(alice(Some(5))), Ok(alice(Some(9))), Signed::Renewed, Some(Timestamp(9)));
    check(Some(alice(Some(9))), Ok(alice(Some(5))), Signed::Renewed, Some(Timestamp(9)));
    check(Some(alice(Some(9))), Ok(alice(None)), Signed::Renewed, None);
    let other = refused(Reason::OtherUser, None);
    check(Some(alice(Some(5))), Ok(identity("bob", None)), other, Some(Timestamp(5)));
}

#[test]
fn a_renewed_session_keeps_its_device() {
    let mut session = open(&limits());
    let device = DeviceId::new("another").unwrap();
    let newer = Identity { device, device_named: false, ..identity("alice", Some(7)) };
    assert_eq!(session.sign_in(Ok(newer), 0, START, &limits()), Signed::Renewed);
    let now = session.identity().unwrap();
    assert_eq!((now.device.as_str(), now.device_named), ("device", true));
}

#[test]
fn the_end_of_a_token_is_announced_once_and_kept() {
    let limits = Limits { ping_interval_ms: 1_000_000, ..limits() };
    let end = START.plus_ms(100_000);
    let mut session = Session::open(Arc::new(identity("alice", Some(end.0))), 0, START, &limits);
    assert_eq!(session.next_deadline(&limits), Some(START.plus_ms(40_000)));
    assert!(due(&mut session, START.plus_ms(39_999), &limits).is_empty());
    assert_eq!(due(&mut session, START.plus_ms(40_000), &limits), ["token_expiring"]);
    assert_eq!(session.next_deadline(&limits), Some(end));
    assert!(due(&mut session, START.plus_ms(99_999), &limits).is_empty());

    let later = end.plus_ms(100_000);
    session.sign_in(Ok(identity("alice", Some(later.0))), 0, end, &limits);
    assert_eq!(session.next_deadline(&limits), Some(START.plus_ms(140_000)));
    assert_eq!(due(&mut session, START.plus_ms(140_000), &limits), ["token_expiring"]);
    assert_eq!(due(&mut session, later, &limits), ["close 4004"]);
}

#[test]
fn auth_must_come_in_time() {
    let limits = limits();
    let mut session = Session::awaiting_auth(START, &limits);
    assert_eq!(session.next_deadline(&limits), Some(START.plus_ms(10_000)));
    session.heard();
    assert!(due(&mut session, START.plus_ms(9_999), &limits).is_empty());
    assert_eq!(due(&mut session, START.plus_ms(10_000), &limits), ["close 4010"]);
}

/// What happens to a session whose first ping is due 15 s after its start.
#[test]
fn heartbeat() {
    enum Step {
        Heard,
        Unparked,
        Due(&'static [&'static str]),
        Parked(&'static [&'static str]),
    }
    use Step::{Due, Heard, Parked, Unparked};
    let check = |what: &str, steps: &[(u64, Step)]| {
        let limits = limits();
        let mut session = open(&limits);
        for (at_ms, step) in steps {
            let now = START.plus_ms(*at_ms);
            let mut out = Vec::new();
            let expected = match step {
                Heard => {
                    session.heard();
                    continue;
                }
                Unparked => {
                    session.unparked(now, &limits);
                    continue;
                }
                Due(expected) => {
                    session.on_deadline(now, &limits, false, &mut out);
                    expected
                }
                Parked(expected) => {
                    session.on_deadline(now, &limits, true, &mut out);
                    expected
                }
            };
            let got: Vec<String> = out.iter().map(name).collect();
            assert_eq!(got, *expected, "{what} at {at_ms}");
        }
    };
    check(
        "answered",
        &[
            (14_999, Due(&[])),
            (15_000, Due(&["ping"])),
            (20_000, Heard),
            (25_000, Due(&[])),
            (44_999, Due(&[])),
            (45_000, Due(&["ping"])),
        ],
    );
    check(
        "silent",
        &[(15_000, Due(&["ping"])), (24_999, Due(&[])), (25_000, Due(&["close 4002"]))],
    );
    check(
        "heard before the ping only",
        &[(14_000, Heard), (15_000, Due(&["ping"])), (25_000, Due(&["close 4002"]))],
    );
    check(
        "busy: pinged all the same",
        &[(14_999, Heard), (15_000, Due(&["ping"])), (15_001, Heard), (45_000, Due(&["ping"]))],
    );
    check(
        "parked: neither pinged nor closed",
        &[
            (15_000, Due(&["ping"])),
            (25_000, Parked(&[])),
            (45_000, Parked(&[])),
            (60_000, Unparked),
            (69_999, Due(&[])),
            (70_000, Due(&["close 4002"])),
        ],
    );
    check(
        "late: in phase again",
        &[(52_000, Due(&["ping"])), (53_000, Heard), (75_000, Due(&["ping"]))],
    );
}

#[test]
fn pings_are_spread_over_half_an_interval() {
    let limits = limits();
    for phase in [0, 1, 7_500, 15_000, 15_001, u32::MAX] {
        let session = Session::open(Arc::new(identity("alice", None)), phase, START, &limits);
        let first = session.next_deadline(&limits).unwrap().since(START);
        assert!((15_000..=30_000).contains(&first), "{phase}: {first}");
    }
}

#[test]
fn the_rate_is_held_and_ignoring_it_ends_the_session() {
    let limits = Limits {
        commands_per_second: 10,
        commands_burst: 5,
        rate_refusals_max: 3,
        commands_in_flight_max: 1000,
        ..Limits::default()
    };
    let mut session = open(&limits);
    let mut say = |command: Command, at_ms: u64| match session.on_message(
        incoming(id("x"), command),
        START.plus_ms(at_ms),
        &limits,
    ) {
        Action::Forward { .. } => "yes".to_owned(),
        Action::Reply { outcome: Err(refusal), .. } => {
            format!("{} {}", refusal.reason.slug(), refusal.retry_after_ms.unwrap())
        }
        Action::Reply { outcome: Ok(_), .. } => "ack".into(),
        Action::Close { code, .. } => format!("close {}", code.code()),
        other => format!("{other:?}"),
    };
    for _ in 0..5 {
        assert_eq!(say(some(), 0), "yes");
    }
    // A refusal costs a tenth of a command.
    assert_eq!(say(some(), 0), "rate_limited 110");
    assert_eq!(say(some(), 60), "rate_limited 160", "its turn comes after the first one's");
    // A tenth of a command fits already, and an admitted one ends the row of refusals.
    assert_eq!(say(Command::Pong, 60), "ack");
    assert_eq!(say(some(), 60), "rate_limited 80");
    assert_eq!(say(some(), 140), "yes");
    for _ in 0..2 {
        assert!(say(some(), 140).starts_with("rate_limited"));
    }
    assert_eq!(say(some(), 140), "close 4009");
}

#[test]
fn who_waits_as_told_gets_on_and_who_does_not_is_closed() {
    let limits = Limits { commands_in_flight_max: u16::MAX, ..Limits::default() };
    // So many at once, again as soon as the last refusal allows it, or every `pause_ms`.
    let run = |at_once: u64, pause_ms: Option<u64>| {
        let mut session = open(&limits);
        let (mut now, mut admitted, mut refused) = (START, 0_u64, 0_u64);
        let mut left = 10_000_u64;
        while left > 0 && now < START.plus_ms(60_000) {
            let mut wait_ms = 1;
            let mut done = 0;
            for _ in 0..at_once.min(left) {
                match session.on_message(incoming(id("x"), some()), now, &limits) {
                    Action::Forward { .. } => done += 1,
                    Action::Reply { outcome: Err(refusal), .. } => {
                        refused += 1;
                        wait_ms = refusal.retry_after_ms.unwrap();
                    }
                    Action::Close { code, .. } => return (admitted, refused, Some(code)),
                    other => panic!("{other:?}"),
                }
                session.replied();
            }
            admitted += done;
            left -= done;
            now = now.plus_ms(pause_ms.unwrap_or(wait_ms));
        }
        (admitted, refused, None)
    };
    // A client with 64 on their way gets nearly the whole rate; half of it would be 6,400.
    let (admitted, _, code) = run(64, None);
    assert_eq!((admitted, code), (10_000, None));
    // Ninety-nine too many for each that is admitted worked as long as refusals were free.
    let (admitted, refused, code) = run(100, Some(5));
    assert_eq!(code, Some(CloseCode::RateLimited));
    assert!(admitted < 500 && refused < 1_000, "{admitted} {refused}");
}

#[test]
fn who_brings_in_many_users_pays_for_them() {
    let limits = Limits { commands_per_second: 10, commands_burst: 20, ..Limits::default() };
    let members = (0..100).map(|n| UserId::new(&format!("u{n}")).unwrap()).collect();
    let invite = Command::GroupInvite(GroupInvite {
        group: GroupId::new("g").unwrap(),
        members,
        client_id: None,
    });
    let mut session = open(&limits);
    let mut say = |command: Command, at_ms: u64| {
        let said = incoming(id("x"), command);
        matches!(session.on_message(said, START.plus_ms(at_ms), &limits), Action::Forward { .. })
    };
    assert!(say(invite.clone(), 0), "eleven commands");
    assert!(!say(invite.clone(), 0));
    for _ in 0..8 {
        assert!(say(some(), 0));
    }
    assert!(!say(some(), 0));
    assert!(!say(invite.clone(), 1_000));
    assert!(say(invite, 1_100));
}

#[test]
fn nothing_passes_a_read_until_it_is_answered() {
    let limits = Limits { commands_in_flight_max: 8, ..limits() };
    let mut session = open(&limits);
    for command in [some(), a_read()] {
        assert!(!session.window_is_full(&limits));
        session.on_message(incoming(id("x"), command), START, &limits);
    }
    assert!(session.window_is_full(&limits));
    session.replied();
    assert!(session.window_is_full(&limits), "that was the reply to the write before");
    assert!(!session.window_has_room(&limits));
    session.replied();
    assert!(!session.window_is_full(&limits));
    assert!(session.window_has_room(&limits));
}

#[test]
fn redelivery_takes_its_rounds_and_then_says_lag_once() {
    let limits = Limits { ping_interval_ms: 10_000_000, ..limits() };
    let mut session = open(&limits);
    let at = |ms| START.plus_ms(ms);
    let g = conversation(1);
    assert_eq!(session.delivered(&g, 4, at(0), &limits), Some(at(10_000)));
    assert_eq!(session.delivered(&g, 6, at(5_000), &limits), None);
    assert_eq!(session.next_deadline(&limits), Some(at(10_000)));
    assert!(due(&mut session, at(9_999), &limits).is_empty());
    assert_eq!(due(&mut session, at(10_000), &limits), ["redeliver group:g1 3 2"]);
    assert!(due(&mut session, at(10_001), &limits).is_empty());
    // Progress begins the rounds anew, from the new cursor.
    session.on_message(incoming(None, received(1, 5)), at(15_000), &limits);
    assert_eq!(due(&mut session, at(25_000), &limits), ["redeliver group:g1 5 2"]);
    // A cursor does not go back.
    session.on_message(incoming(None, received(1, 3)), at(26_000), &limits);
    assert_eq!(due(&mut session, at(35_000), &limits), ["redeliver group:g1 5 3"]);
    assert_eq!(due(&mut session, at(45_000), &limits), ["redeliver group:g1 5 4"]);
    assert_eq!(due(&mut session, at(55_000), &limits), ["lag group:g1 6"]);
    session.delivered(&g, 7, at(56_000), &limits);
    assert!(due(&mut session, at(100_000), &limits).is_empty());
    session.on_message(incoming(None, received(1, 5)), at(100_000), &limits);
    assert_eq!(due(&mut session, at(110_000), &limits), ["redeliver group:g1 5 2"]);
    session.on_message(incoming(None, received(1, 7)), at(110_000), &limits);
    assert_eq!(session.unconfirmed(), 0);
    assert!(due(&mut session, at(200_000), &limits).is_empty());
}

#[test]
fn sync_and_read_confirm_too() {
    let limits = limits();
    let mut session = open(&limits);
    for n in 1..=3 {
        session.delivered(&conversation(n), 1, START, &limits);
    }
    let read = Command::Read(Cursor { conversation: conversation(1), seq: 1 });
    session.on_message(incoming(id("1"), read), START, &limits);
    assert_eq!(session.unconfirmed(), 2);
    session.on_message(incoming(id("2"), Command::Sync(Sync::default())), START, &limits);
    assert_eq!(session.unconfirmed(), 0);
}

#[test]
fn who_cannot_confirm_is_sent_nothing_again() {
    let limits = limits();
    let alice = Arc::new(identity("alice", None));
    let mut session = Session::open_unconfirmed(alice, 0, START, &limits);
    assert_eq!(session.delivered(&conversation(1), 1, START, &limits), None);
    session.on_message(incoming(id("1"), Command::Sync(Sync::default())), START, &limits);
    session.delivered(&conversation(1), 2, START, &limits);
    assert_eq!(session.unconfirmed(), 0);
    let mut out = Vec::new();
    session.on_deadline(START.plus_ms(15_000), &limits, false, &mut out);
    let [Due::Send(Event::Ping(ping))] = &out[..] else { panic!("{out:?}") };
    assert_eq!((ping.heads.len(), ping.resync), (0, false));
}

#[test]
fn a_ping_names_what_is_unconfirmed() {
    let limits = Limits { unconfirmed_max: 60, redelivery_after_ms: 10_000_000, ..limits() };
    let check = |conversations: u8, named: usize, resync: bool| {
        let mut session = open(&limits);
        for n in 0..conversations {
            session.delivered(&conversation(n), u64::from(n) + 1, START, &limits);
        }
        let mut out = Vec::new();
        session.on_deadline(START.plus_ms(15_000), &limits, false, &mut out);
        let [Due::Send(Event::Ping(ping))] = &out[..] else { panic!("{out:?}") };
        assert_eq!((ping.heads.len(), ping.resync), (named, resync), "{conversations}");
        assert!(session.unconfirmed() <= 60);
        for (conversation, head) in &ping.heads {
            assert_eq!(conversation.as_str(), format!("group:g{}", head - 1));
        }
    };
    check(0, 0, false);
    check(1, 1, false);
    check(50, 50, false);
    check(51, 50, true);
    check(70, 50, true);
}

#[test]
fn nothing_is_redelivered_while_parked() {
    let limits = Limits { ping_interval_ms: 10_000_000, ..limits() };
    let mut session = open(&limits);
    session.delivered(&conversation(1), 1, START, &limits);
    let mut out = Vec::new();
    session.on_deadline(START.plus_ms(12_000), &limits, true, &mut out);
    assert!(out.is_empty(), "{out:?}");
    assert!(due(&mut session, START.plus_ms(21_999), &limits).is_empty());
    assert_eq!(due(&mut session, START.plus_ms(22_000), &limits), ["redeliver group:g1 0 2"]);
}

#[derive(Clone, Debug)]
enum Input {
    Say(u8, bool),
    Garbage(bool),
    Reply,
    Deliver(u8, u64),
    Wait(u16),
    SignIn(bool),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (0_u8..9, any::<bool>()).prop_map(|(what, id)| Input::Say(what, id)),
        1 => any::<bool>().prop_map(Input::Garbage),
        4 => Just(Input::Reply),
        3 => (0_u8..4, 1_u64..30).prop_map(|(n, seq)| Input::Deliver(n, seq)),
        2 => (0_u16..12_000).prop_map(Input::Wait),
        1 => any::<bool>().prop_map(Input::SignIn),
    ]
}

fn command(what: u8) -> Command {
    match what {
        0 => Command::Ping,
        1 => Command::Pong,
        2 => Command::Auth(Auth { token: "t".into(), device: None }),
        3 => Command::Refresh(Refresh { token: "t".into() }),
        4 => Command::Sync(Sync::default()),
        5 => received(1, 12),
        6 => received(2, 3),
        7 => {
            Command::Unsubscribe(ChannelTarget { channel: Channel::new("news:a").unwrap().into() })
        }
        _ => some(),
    }
}

proptest! {
    #[test]
    fn the_window_is_kept_and_every_id_is_answered_once(
        inputs in proptest::collection::vec(input(), 1..300),
        window in 1_u16..6,
        rate in prop_oneof![Just(5_u32), Just(1_000_000)],
    ) {
        let limits = Limits {
            commands_in_flight_max: window,
            commands_per_second: rate,
            commands_burst: 20,
            unconfirmed_max: 3,
            ..Limits::default()
        };
        let mut session = Session::awaiting_auth(START, &limits);
        let mut now = START;
        let mut upstream: std::collections::VecDeque<Option<CommandId>> = Default::default();
        let mut answers: std::collections::BTreeMap<CommandId, u32> = Default::default();
        let mut asked = 0_u32;
        let mut closed = false;
        for input in inputs {
            let (message, expect_id) = match input {
                Input::Say(what, with_id) => {
                    let id = with_id.then(|| id(&format!("c{asked}")).unwrap());
                    (incoming(id.clone(), command(what)), id)
                }
                Input::Garbage(with_id) => {
                    let id = with_id.then(|| id(&format!("c{asked}")).unwrap());
                    let refusal = Reason::BadField.into();
                    (Err(Box::new(Malformed { id: id.clone(), refusal })), id)
                }
                Input::Reply => {
                    if let Some(id) = upstream.pop_front() {
                        session.replied();
                        if let Some(id) = id {
                            *answers.entry(id).or_default() += 1;
                        }
                    }
                    continue;
                }
                Input::Deliver(n, seq) => {
                    session.delivered(&conversation(n), seq, now, &limits);
                    prop_assert!(session.unconfirmed() <= 3);
                    continue;
                }
                Input::Wait(ms) => {
                    now = now.plus_ms(ms.into());
                    let mut due = Vec::new();
                    session.on_deadline(now, &limits, false, &mut due);
                    let closes = due.iter().any(|due| matches!(due, Due::Close(_)));
                    if closes {
                        session.close();
                        closed = true;
                        break;
                    }
                    // What was due is done: the next moment lies ahead.
                    let next = session.next_deadline(&limits);
                    prop_assert!(next.is_none_or(|next| next > now) || session.unconfirmed() > 0);
                    continue;
                }
                Input::SignIn(good) => {
                    let outcome = if good { Ok(identity("alice", None)) } else { Err(Reason::Internal.into()) };
                    session.sign_in(outcome, 0, now, &limits);
                    continue;
                }
            };
            // The hub decodes nothing while the window is full.
            if session.window_is_full(&limits) {
                continue;
            }
            asked += 1;
            session.heard();
            let mut answer = |id: &Option<CommandId>| {
                if let Some(id) = id {
                    *answers.entry(id.clone()).or_default() += 1;
                }
            };
            match session.on_message(message, now, &limits) {
                Action::Nothing => prop_assert!(expect_id.is_none()),
                Action::Reply { id, outcome } => {
                    prop_assert!(id.is_some() || outcome.is_err());
                    prop_assert!(!matches!(outcome, Ok(ref ack) if !matches!(ack, Ack::Done)));
                    answer(&id);
                }
                Action::Pong { id } | Action::Authenticate { id, .. } => answer(&id),
                Action::Forward { id, .. } | Action::Live { id, .. } => upstream.push_back(id),
                Action::Close { id, .. } => {
                    answer(&id);
                    session.close();
                    closed = true;
                    break;
                }
            }
            prop_assert!(upstream.len() <= usize::from(window));
            prop_assert_eq!(usize::from(session.in_flight()), upstream.len());
            prop_assert!(session.window_is_full(&limits) || upstream.len() < usize::from(window));
            prop_assert!(!upstream.is_empty() || !session.window_is_full(&limits));
        }
        for id in upstream.drain(..).flatten() {
            *answers.entry(id).or_default() += 1;
        }
        prop_assert!(answers.values().all(|count| *count == 1), "{:?}", answers);
        if closed {
            prop_assert!(session.next_deadline(&limits).is_none());
        }
    }

    #[test]
    fn no_more_than_rate_and_burst_pass_in_any_stretch(
        gaps in proptest::collection::vec(0_u64..400, 1..200),
        rate in 1_u32..50,
        burst in 1_u32..20,
    ) {
        let limits = Limits { commands_per_second: rate, commands_burst: burst, ..Limits::default() };
        let mut bucket = Bucket::default();
        let mut now = START;
        let mut passed = Vec::new();
        for gap in gaps {
            now = now.plus_ms(gap);
            match bucket.charge(Cost::WHOLE, now, &limits) {
                Ok(()) => passed.push(now),
                Err(wait_ms) => {
                    // The advice is right: then it passes.
                    let mut later = bucket;
                    prop_assert!(later.charge(Cost::WHOLE, now.plus_ms(wait_ms), &limits).is_ok());
                    prop_assert!(wait_ms > 0);
                }
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (n, to) in passed[i..].iter().enumerate() {
                let allowed = u64::from(burst) + to.since(*from) * u64::from(rate) / 1000 + 1;
                prop_assert!((n as u64) < allowed);
            }
        }
    }

    #[test]
    fn redelivery_is_bounded_and_its_cursor_only_moves_forward(
        steps in proptest::collection::vec((0_u8..4, 1_u64..40, 0_u64..15_000), 1..200),
    ) {
        let limits = Limits { ping_interval_ms: u32::MAX, ..limits() };
        let mut session = open(&limits);
        let g = conversation(1);
        let (mut now, mut head, mut cursor, mut rounds) = (START, 0, 0, 0);
        for (step, amount, gap) in steps {
            now = now.plus_ms(gap);
            match step {
                0 => {
                    head += 1;
                    session.delivered(&g, head, now, &limits);
                }
                1 => {
                    let seq = amount.min(head);
                    session.on_message(incoming(None, received(1, seq)), now, &limits);
                    session.replied();
                    rounds = 0;
                }
                _ => {
                    let mut due = Vec::new();
                    session.on_deadline(now, &limits, false, &mut due);
                    prop_assert!(due.len() <= 1);
                    for due in due {
                        match due {
                            Due::Submit(Work::Redeliver { after, attempt, .. }) => {
                                rounds += 1;
                                prop_assert!(after >= cursor && after < head);
                                prop_assert!(rounds <= limits.redelivery_rounds_max);
                                prop_assert!((2..=limits.redelivery_rounds_max + 1).contains(&attempt));
                                cursor = after;
                            }
                            Due::Send(Event::Lag(lag)) => prop_assert_eq!(lag.head, Some(head)),
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                }
            }
        }
    }
}

use super::*;

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

const SPARING: Policy =
    Policy { context: false, server_window: WindowBits::MAX, client_window: WindowBits::MAX };

fn generous() -> Policy {
    Policy { context: true, ..SPARING }
}

fn narrow() -> Policy {
    Policy { context: true, server_window: window(12), client_window: window(11) }
}

/// The header that a server answers; `-` when it declines everything, `!` for a malformed header.
fn answered(lines: &[&str], policy: &Policy) -> String {
    match accept(lines.iter().copied(), policy) {
        Ok(Some((_, header))) => header
            .strip_prefix(NAME)
            .map(|params| params.replace("; ", ";").replace("_context_takeover", ""))
            .unwrap(),
        Ok(None) => "-".into(),
        Err(MalformedHeader) => "!".into(),
    }
}

#[test]
fn a_server_answers_within_the_offer() {
    let check = |params: &str, policy: &Policy, expected: &str| {
        assert_eq!(answered(&[&format!("{NAME}{params}")], policy), expected, "{params}");
    };
    // RFC 7692 §7.1.1, §7.1.2.
    check("", &SPARING, ";server_no;client_no");
    check("", &generous(), "");
    check("; server_no_context_takeover", &generous(), ";server_no");
    check("; client_no_context_takeover", &generous(), ";client_no");
    check("; client_max_window_bits", &generous(), "");
    check("; server_max_window_bits=10", &generous(), ";server_max_window_bits=10");
    check("; server_max_window_bits=15", &generous(), ";server_max_window_bits=15");
    check("; client_max_window_bits=10", &generous(), ";client_max_window_bits=10");
    check("; client_max_window_bits=\"10\"", &generous(), ";client_max_window_bits=10");
    check("", &narrow(), ";server_max_window_bits=12");
    check(
        "; client_max_window_bits",
        &narrow(),
        ";server_max_window_bits=12;client_max_window_bits=11",
    );
    check(
        "; server_max_window_bits=9; client_max_window_bits=10",
        &narrow(),
        ";server_max_window_bits=9;client_max_window_bits=10",
    );
    check(
        "; server_max_window_bits=15; client_max_window_bits=15",
        &narrow(),
        ";server_max_window_bits=12;client_max_window_bits=11",
    );
}

#[test]
fn a_server_declines() {
    for params in [
        // Unknown, twice, with a value that must not be there, or without one that must.
        "; mystery",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_no_context_takeover; client_no_context_takeover",
        "; client_max_window_bits; client_max_window_bits=10",
        "; server_max_window_bits=10; server_max_window_bits=10",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover=true",
        "; server_max_window_bits",
        "; server_max_window_bits=7",
        "; server_max_window_bits=16",
        "; server_max_window_bits=010",
        "; server_max_window_bits=+10",
        "; client_max_window_bits=0",
        "; client_max_window_bits=99999999999999999999",
        // Valid, but zlib cannot.
        "; server_max_window_bits=8",
        "; client_max_window_bits=8",
    ] {
        assert_eq!(answered(&[&format!("{NAME}{params}")], &generous()), "-", "{params}");
    }
    assert_eq!(answered(&[], &generous()), "-");
    assert_eq!(answered(&["", "x-webkit-deflate-frame, foo; bar=\"baz\""], &generous()), "-");
}

#[test]
fn the_first_possible_offer_counts() {
    let check = |lines: &[&str], expected: &str| {
        assert_eq!(answered(lines, &generous()), expected, "{lines:?}");
    };
    check(
        &[
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_no_context_takeover",
        ],
        ";client_no",
    );
    check(&["foo", "Permessage-Deflate; mystery=1", "permessage-deflate"], "");
    check(
        &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
        ";server_max_window_bits=10",
    );
    // Malformed is malformed, also behind what would have been accepted.
    check(&["permessage-deflate", "foo;"], "!");
    check(&["permessage-deflate; client_max_window_bits="], "!");
}

#[test]
fn what_a_client_offers() {
    let check = |offer: Offer, expected: &str| assert_eq!(offer.header(), expected);
    check(Offer::default(), "permessage-deflate; client_max_window_bits");
    check(
        Offer {
            server_no_context: true,
            client_no_context: true,
            server_window: Some(window(10)),
            client_window: ClientWindow::AtMost(window(12)),
        },
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10; client_max_window_bits=12",
    );
    check(Offer { client_window: ClientWindow::Unsaid, ..Offer::default() }, "permessage-deflate");
}

#[test]
fn a_client_checks_the_answer() {
    let plain = Offer { client_window: ClientWindow::Unsaid, ..Offer::default() };
    let any = Offer::default();
    let demanding = Offer {
        server_no_context: true,
        client_no_context: true,
        server_window: Some(window(10)),
        client_window: ClientWindow::AtMost(window(12)),
    };
    let agreement = |server, client, server_bits, client_bits| {
        Ok(Some(Agreement {
            server_context: server,
            client_context: client,
            server_window: window(server_bits),
            client_window: WindowBits::new(client_bits),
        }))
    };
    let check = |offer: Offer, line: &str, expected| {
        assert_eq!(offer.check([line]), expected, "{line}");
    };
    let parameters = Err(BadAnswer::Parameters);
    let not_offered = Err(BadAnswer::NotOffered);
    check(plain, "", Ok(None));
    check(plain, "permessage-deflate", agreement(true, true, 15, 15));
    check(plain, "permessage-deflate; server_max_window_bits=8", agreement(true, true, 9, 15));
    check(plain, "permessage-deflate; client_no_context_takeover", agreement(true, false, 15, 15));
    check(plain, "permessage-deflate; client_max_window_bits=10", parameters);
    check(plain, "permessage-deflate; mystery", parameters);
    check(plain, "permessage-deflate, permessage-deflate", not_offered);
    check(plain, "foo", not_offered);
    check(plain, "permessage-deflate;", Err(BadAnswer::Malformed(MalformedHeader)));
    check(any, "permessage-deflate; client_max_window_bits=10", agreement(true, true, 15, 10));
    check(any, "permessage-deflate; client_max_window_bits=8", agreement(true, true, 15, 8));
    check(any, "permessage-deflate; client_max_window_bits", parameters);
    check(any, "permessage-deflate; server_max_window_bits", parameters);

    let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
    check(demanding, good, agreement(false, false, 10, 12));
    check(demanding, &format!("{good}; client_max_window_bits=9"), agreement(false, false, 10, 9));
    check(demanding, &format!("{good}; client_max_window_bits=13"), parameters);
    check(demanding, "permessage-deflate; server_max_window_bits=10", parameters);
    check(demanding, "permessage-deflate; server_no_context_takeover", parameters);
    check(
        demanding,
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
        parameters,
    );
    assert_eq!(demanding.check([]), Ok(None));
}

#[test]
fn both_sides_come_to_the_same_agreement() {
    let windows = [None, Some(window(9)), Some(window(12)), Some(WindowBits::MAX)];
    let client_windows =
        [ClientWindow::Unsaid, ClientWindow::Any, ClientWindow::AtMost(window(10))];
    let mut seen = 0;
    for bits in 0..4 {
        for server_window in windows {
            for client_window in client_windows {
                for policy in [SPARING, generous(), narrow()] {
                    let offer = Offer {
                        server_no_context: bits & 1 != 0,
                        client_no_context: bits & 2 != 0,
                        server_window,
                        client_window,
                    };
                    let (agreed, header) =
                        accept([offer.header().as_str()], &policy).unwrap().unwrap();
                    assert_eq!(offer.check([header.as_str()]), Ok(Some(agreed)), "{offer:?}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 4 * 4 * 3 * 3);
}

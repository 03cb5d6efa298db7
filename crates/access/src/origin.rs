//! Which pages may connect (RFC 6454, RFC 6455 §10.2).
//!
//! A browser names the page's origin; a request without an `Origin` comes from no page and is
//! allowed. Invariant: a page of another origin gets nothing unless the configuration names it
//! (P12).

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request with these headers may be served. `allowed` are origins as a browser writes
/// them (`https://chat.example.com`), or `*` for all.
pub(crate) fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    match only(headers, &ORIGIN) {
        Named::No => true,
        Named::Unclear => false,
        Named::Once(origin) => {
            allowed.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(origin))
                || is_own(headers, origin)
        }
    }
}

/// Whether the request comes from a page that may use what the browser adds by itself: a cookie
/// comes with the request of any page, whoever wrote it. `*` trusts no page, and `null` names none:
/// a sandboxed frame of any page says so.
pub(crate) fn is_trusted(headers: &HeaderMap, allowed: &[String]) -> bool {
    let origin = match only(headers, &ORIGIN) {
        Named::Once(origin) => origin,
        // A browser leaves it out of a GET to where the page is from, and says so in a field that no
        // page can set (Fetch Metadata, §2.3).
        Named::No => return matches!(only(headers, &FETCH_SITE), Named::Once("same-origin")),
        Named::Unclear => return false,
    };
    let named = |known: &String| known.contains("://") && known.eq_ignore_ascii_case(origin);
    allowed.iter().any(named) || is_own(headers, origin)
}

/// Whether the page comes from where the request goes to.
fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    matches!(only(headers, &HOST), Named::Once(host) if is_same(origin, host))
}

/// Whether `Host` names this machine as only itself does. A page of the attacker's whose name was
/// made to resolve to 127.0.0.1 has the attacker's name there.
pub(crate) fn is_loopback_host(headers: &HeaderMap) -> bool {
    let Named::Once(host) = only(headers, &HOST) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

enum Named<'a> {
    No,
    Once(&'a str),
    Unclear,
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Named<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Named::No,
        (Some(value), None) => value.to_str().map_or(Named::Unclear, Named::Once),
        (Some(_), Some(_)) => Named::Unclear,
    }
}

/// Whether the origin's host and port are those of `Host`; the default port may be left out.
fn is_same(origin: &str, host: &str) -> bool {
    let (authority, port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, ":80"),
        Some(("https", authority)) => (authority, ":443"),
        _ => return false,
    };
    let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn origins() {
        let check = |host: &str, origin: &str, allowed: &[&str], expected: bool| {
            let headers = headers(&[(&HOST, host), (&ORIGIN, origin)]);
            let allowed: Vec<String> = allowed.iter().map(|&known| known.to_owned()).collect();
            assert_eq!(is_allowed(&headers, &allowed), expected, "{origin} to {host}");
        };
        check("localhost:8080", "http://localhost:8080", &[], true);
        check("LOCALHOST:8080", "http://localhost:8080", &[], true);
        check("[::1]:8080", "http://[::1]:8080", &[], true);
        check("chat.example", "https://chat.example", &[], true);
        check("chat.example:443", "https://chat.example", &[], true);
        check("chat.example", "http://chat.example:80", &[], true);
        check("chat.example:80", "https://chat.example", &[], false);
        check("localhost:8080", "http://localhost:8081", &[], false);
        check("localhost:8080", "http://127.0.0.1:8080", &[], false);
        check("localhost:8080", "http://localhost:8080.evil.example", &[], false);
        check("localhost:8080", "http://evil.example", &[], false);
        check("localhost:8080", "null", &[], false);
        check("localhost:8080", "", &[], false);
        check("", "http://", &[], false);
        check("a", "file://a", &[], false);
        check("a", "https://app.example", &["https://app.example"], true);
        check("a", "HTTPS://App.Example", &["https://app.example"], true);
        check("a", "https://app.example.evil", &["https://app.example"], false);
        check("a", "http://app.example", &["https://app.example"], false);
        check("a", "null", &["null"], true);
        check("a", "http://anything", &["*"], true);
    }

    #[test]
    fn trusted_with_cookies() {
        let check = |origin: &str, allowed: &[&str], expected: bool| {
            let headers = headers(&[(&HOST, "chat.example"), (&ORIGIN, origin)]);
            let allowed: Vec<String> = allowed.iter().map(|&known| known.to_owned()).collect();
            assert_eq!(is_trusted(&headers, &allowed), expected, "{origin} {allowed:?}");
        };
        check("https://chat.example", &[], true);
        check("https://chat.example", &["*"], true);
        check("https://app.example", &["https://app.example"], true);
        check("https://app.example", &["*", "https://App.example"], true);
        check("https://evil.example", &["*"], false);
        check("https://evil.example", &["*", "https://app.example"], false);
        check("*", &["*"], false);
        check("null", &["*"], false);
        check("null", &["null"], false);
        assert!(!is_trusted(&headers(&[(&HOST, "chat.example")]), &["*".into()]));
        let mut twice = headers(&[(&HOST, "a"), (&ORIGIN, "http://a")]);
        twice.append(ORIGIN, "http://a".parse().unwrap());
        assert!(!is_trusted(&twice, &["http://a".into()]));
    }

    #[test]
    fn without_and_with_too_many() {
        let page = "http://a";
        assert!(is_allowed(&headers(&[(&HOST, "a")]), &[]));
        assert!(is_allowed(&HeaderMap::new(), &[]));
        assert!(!is_allowed(&headers(&[(&ORIGIN, page)]), &[]));
        let mut two_hosts = headers(&[(&HOST, "a"), (&ORIGIN, page)]);
        two_hosts.append(HOST, "a".parse().unwrap());
        assert!(!is_allowed(&two_hosts, &[]));
        let mut twice = headers(&[(&HOST, "a"), (&ORIGIN, page)]);
        twice.append(ORIGIN, page.parse().unwrap());
        assert!(!is_allowed(&twice, &["*".into()]));
    }

    #[test]
    fn hosts_of_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("192.168.0.1:8080", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(&headers(&[(&HOST, host)])), expected, "{host}");
        }
        assert!(!is_loopback_host(&HeaderMap::new()));
    }
}

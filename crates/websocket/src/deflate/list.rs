//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! Invariant: allocates nothing; what does not conform to the grammar is an error for the whole
//! header, since its parts cannot be told apart then.

/// The header does not conform to its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Sec-WebSocket-Extensions is malformed")]
pub struct MalformedHeader;

/// One extension of a header line and the parameters behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    params: &'a str,
}

/// The extensions of one header line. Elements of the list may be empty (RFC 9110 §5.6.1.2).
pub(super) fn extensions(
    line: &str,
) -> impl Iterator<Item = Result<Extension<'_>, MalformedHeader>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return None;
        }
        let found = extension(rest);
        rest = found.as_ref().map_or("", |(_, rest)| rest);
        Some(found.map(|(extension, _)| extension))
    })
}

/// One extension and what stands behind it in the line.
fn extension(line: &str) -> Result<(Extension<'_>, &str), MalformedHeader> {
    let (name, params) = token(line)?;
    let mut rest = params;
    while let Some((_, behind)) = param(rest)? {
        rest = behind;
    }
    let params = &params[..params.len() - rest.len()];
    let rest = rest.trim_start_matches(BLANK);
    if !rest.is_empty() && !rest.starts_with(',') {
        return Err(MalformedHeader);
    }
    Ok((Extension { name, params }, rest))
}

impl<'a> Extension<'a> {
    /// The parameters, with their values if they have one.
    pub(super) fn params(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = self.params;
        std::iter::from_fn(move || {
            let (found, behind) = param(rest).ok().flatten()?;
            rest = behind;
            Some(found)
        })
    }
}

type Param<'a> = (&'a str, Option<&'a str>);

/// The next parameter and what stands behind it.
fn param(rest: &str) -> Result<Option<(Param<'_>, &str)>, MalformedHeader> {
    let Some(rest) = rest.trim_start_matches(BLANK).strip_prefix(';') else { return Ok(None) };
    let (name, rest) = token(rest.trim_start_matches(BLANK))?;
    let Some(value) = rest.trim_start_matches(BLANK).strip_prefix('=') else {
        return Ok(Some(((name, None), rest)));
    };
    let value = value.trim_start_matches(BLANK);
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, rest) = token(value)?;
        return Ok(Some(((name, Some(value)), rest)));
    };
    // What is quoted must be a token as well, so a backslash could only stand before a character that
    // needs none; nobody writes that, and it is refused.
    let (value, rest) = token(quoted)?;
    let rest = rest.strip_prefix('"').ok_or(MalformedHeader)?;
    Ok(Some(((name, Some(value)), rest)))
}

const BLANK: [char; 2] = [' ', '\t'];

/// A token at the start of the line (RFC 9110 §5.6.2).
fn token(line: &str) -> Result<(&str, &str), MalformedHeader> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let len = line.bytes().take_while(|&byte| is_token(byte)).count();
    if len == 0 { Err(MalformedHeader) } else { Ok(line.split_at(len)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header in one canonical form, or `None` when it is malformed.
    fn canonical(line: &str) -> Option<String> {
        let mut out = Vec::new();
        for extension in extensions(line) {
            let extension = extension.ok()?;
            let mut one = extension.name.to_owned();
            for (name, value) in extension.params() {
                one += &format!(";{name}");
                if let Some(value) = value {
                    one += &format!("={value}");
                }
            }
            out.push(one);
        }
        Some(out.join(","))
    }

    #[test]
    fn well_formed() {
        for (line, expected) in [
            ("", ""),
            (" , ,", ""),
            ("a", "a"),
            ("a,b", "a,b"),
            (" a ,\tb ; c ,, d", "a,b;c,d"),
            ("a;b=c", "a;b=c"),
            ("a; b = \"c\" ;d=10, e", "a;b=c;d=10,e"),
            (
                "permessage-deflate; client_max_window_bits",
                "permessage-deflate;client_max_window_bits",
            ),
        ] {
            assert_eq!(canonical(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn malformed() {
        for line in [
            ";",
            "a;",
            "a;;b",
            "a b",
            "a;b c",
            "a;b=",
            "a;b=\"",
            "a;b=\"c",
            "a;b=\"\"",
            "a;b=\"c d\"",
            "a;b=\"c\\d\"",
            "a;b=\"c\"d",
            "=",
            "a=b",
            "a, é",
            "a;b=c=d",
            "a/b",
        ] {
            assert_eq!(canonical(line), None, "{line}");
        }
    }
}

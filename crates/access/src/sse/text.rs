//! The text of an event stream (HTML Living Standard, §9.2).

/// Appends an event. Whatever ends a line in `data` is white space of JSON there, and comes to the
/// client as a line feed.
pub(crate) fn event(out: &mut Vec<u8>, kind: &str, id: Option<&str>, data: &str) {
    for (field, value) in [("event: ", Some(kind)), ("\nid: ", id)] {
        if let Some(value) = value {
            out.extend_from_slice(field.as_bytes());
            out.extend_from_slice(value.as_bytes());
        }
    }
    for line in data.split(['\n', '\r']) {
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(line.as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

/// Says how long a client is to wait before it comes back.
pub(crate) fn retry(out: &mut Vec<u8>, ms: u32) {
    out.extend_from_slice(format!("retry: {ms}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let mut out = Vec::new();
        retry(&mut out, 1500);
        event(&mut out, "publication", Some("1"), "{\"a\":\r\n1}");
        event(&mut out, "lag", None, "{}");
        let expected = "retry: 1500\nevent: publication\nid: 1\ndata: {\"a\":\ndata: \ndata: 1}\n\n\
                        event: lag\ndata: {}\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

//! Owns the decoding of query strings and path segments (percent-encoding, RFC 3986 section 2.1).

use std::borrow::Cow;

/// Returns the decoded value of the first parameter of this name; `None` when there is none.
///
/// `+` and `%20` are spaces; a parameter without `=` has an empty value. What is not a valid escape, or would not be
/// UTF-8 when decoded, is returned as it was sent. Example: `a=1&b=x%20y` gives `x y` for `b`.
pub fn get<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    parameters(query).find(|(parameter, _)| parameter == name).map(|(_, value)| value)
}

/// Returns all parameters, decoded, in the order of the query.
pub fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(name), decode_form(value))
    })
}

/// Decodes one segment of a path; `None` when an escape is malformed or the text is not UTF-8 or has control characters.
///
/// `+` stands for itself in a path.
pub fn decode_path(segment: &str) -> Option<String> {
    let decoded = String::from_utf8(decode(segment, b'+', true)?).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let decoded = decode(text, b' ', false).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Decodes the escapes; a malformed one gives `None` when `strict`, and stands for itself otherwise.
fn decode(text: &str, plus: u8, strict: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex_value(*high).zip(hex_value(*low)),
            _ => None,
        };
        match (first, escaped) {
            (_, Some((high, low))) => {
                decoded.push(high << 4 | low);
                rest = &after[2..];
            }
            (b'%', None) if strict => return None,
            (b'+', None) => decoded.push(plus),
            (byte, None) => decoded.push(*byte),
        }
    }
    Some(decoded)
}

fn hex_value(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::{decode_path, get};

    #[test]
    fn the_first_parameter_of_a_name_is_decoded() {
        let check =
            |query: &str, expected: Option<&str>| assert_eq!(get(query, "b").as_deref(), expected, "{query}");
        check("a=1&b=2&b=3", Some("2"));
        check("b", Some(""));
        check("b=", Some(""));
        check("b=x=y", Some("x=y"));
        check("b=x%20y+z%2B", Some("x y z+"));
        check("%62=2", Some("2"));
        check("b=%e2%82%ac", Some("€"));
        check("", None);
        check("&&=2&bb=1", None);
    }

    #[test]
    fn what_cannot_be_decoded_is_taken_literally() {
        for (value, expected) in
            [("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%ff", "%ff"), ("a+%ff", "a+%ff"), ("%+1", "% 1")]
        {
            assert_eq!(get(&format!("b={value}"), "b").as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_path_segment_is_decoded_strictly() {
        assert_eq!(decode_path("general").as_deref(), Some("general"));
        assert_eq!(decode_path("a%2Fb%20c+d").as_deref(), Some("a/b c+d"));
        assert_eq!(decode_path("%C3%A9").as_deref(), Some("é"));
        assert_eq!(decode_path(""), Some(String::new()));
        for segment in ["%", "a%4", "%zz", "%ff", "%00", "%0a", "%c2%85"] {
            assert_eq!(decode_path(segment), None, "{segment}");
        }
    }
}

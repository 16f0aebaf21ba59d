//! The inside of JSON strings: escapes resolved, surrogate halves joined or found missing.

use std::borrow::Cow;

use memchr::memchr;

/// Resolves the escapes of the text between two quotes; borrowed when there are none.
///
/// In validated text every escape means something. Elsewhere an unknown escape stands for its second character, and
/// half a surrogate pair for U+FFFD.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    let mut next = Some(first);
    while let Some(backslash) = next {
        text.push_str(&rest[..backslash]);
        let (character, behind) = escape(&rest[backslash + 1..]);
        text.extend(character);
        rest = behind;
        next = memchr(b'\\', rest.as_bytes());
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Whether an escape in the text is one half of a surrogate pair without the other.
///
/// JavaScript writes such strings; as UTF-8 they do not exist. Looks at backslashes only, so give it valid JSON.
pub(super) fn has_lone_surrogate(json: &str) -> bool {
    let mut rest = json;
    while let Some(backslash) = memchr(b'\\', rest.as_bytes()) {
        let behind = &rest[backslash + 1..];
        if behind.starts_with('u') && unicode(&behind[1..]).0.is_none() {
            return true;
        }
        rest = escape(behind).1;
    }
    false
}

/// Reads what follows a backslash: the character meant, and the text behind the escape.
fn escape(behind: &str) -> (Option<char>, &str) {
    let mut characters = behind.chars();
    let character = match characters.next() {
        Some('u') => {
            let (character, rest) = unicode(characters.as_str());
            return (character.or(Some(char::REPLACEMENT_CHARACTER)), rest);
        }
        Some('n') => Some('\n'),
        Some('t') => Some('\t'),
        Some('r') => Some('\r'),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        other => other,
    };
    (character, characters.as_str())
}

/// Reads what follows `\u`: four digits, and a second escape if they are the first half of a pair.
fn unicode(behind: &str) -> (Option<char>, &str) {
    let Some((unit, rest)) = unit(behind) else {
        return (None, behind);
    };
    if !(0xD800..0xDC00).contains(&unit) {
        return (char::from_u32(unit), rest);
    }
    match rest.strip_prefix("\\u").and_then(self::unit) {
        Some((low, rest)) if (0xDC00..0xE000).contains(&low) => {
            (char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), rest)
        }
        _ => (None, rest),
    }
}

fn unit(behind: &str) -> Option<(u32, &str)> {
    let (digits, rest) = behind.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(())?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        let check = |inner: &str, expected: &str| assert_eq!(unescape(inner), expected, "{inner}");
        check("", "");
        check("plain ä 🙂", "plain ä 🙂");
        check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r"a\u0041\u00e4\u20AC\ud83d\ude42z", "aAä€🙂z");
        check(r"\\u0041", r"\u0041");
    }

    #[test]
    fn broken_escapes_do_no_harm() {
        let check = |inner: &str, expected: &str| assert_eq!(unescape(inner), expected, "{inner}");
        check("\\", "");
        check(r"\q\ä", "qä");
        check(r"\u12", "\u{fffd}12");
        check(r"\u+123", "\u{fffd}+123");
        check(r"\ud83dx\ude42", "\u{fffd}x\u{fffd}");
        check(r"\ud83d\ud83d\ude42", "\u{fffd}🙂");
    }

    #[test]
    fn halves_of_pairs_are_found() {
        for text in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#"["a",{"b":"\\\udfff"}]"#,
            r#""\uD83D\\uDE42""#,
        ] {
            assert!(has_lone_surrogate(text), "{text}");
        }
        for text in [r#""\ud83d\ude42""#, r#""\\ud800""#, r#""\u0041""#, "[]"] {
            assert!(!has_lone_surrogate(text), "{text}");
        }
    }
}

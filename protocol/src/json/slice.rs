//! Where a value ends: walks over text that was validated before.
//!
//! The walks trust the text only for meaning. On arbitrary text they still stay inside it, end, and stop at
//! character boundaries, because every position they stop at is the end of the text or beside an ASCII byte.

use memchr::memchr2;

use super::Json;

const fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Cuts JSON's four white space characters off both ends.
pub(super) fn trim(text: &str) -> &str {
    let text = skip_whitespace(text);
    let trailing = text.bytes().rev().take_while(|&byte| is_whitespace(byte)).count();
    &text[..text.len() - trailing]
}

/// Cuts JSON's four white space characters off the beginning.
pub(crate) fn skip_whitespace(text: &str) -> &str {
    let leading = text.bytes().take_while(|&byte| is_whitespace(byte)).count();
    &text[leading..]
}

/// Splits the value at the beginning of `text` from what follows it; `None` if there is none.
pub(super) fn split_value(text: &str) -> Option<(Json<'_>, &str)> {
    let (raw, rest) = text.split_at_checked(value_end(text.as_bytes()))?;
    (!raw.is_empty()).then_some((Json { raw }, rest))
}

/// Splits the string at the beginning of `text` from what follows it: (between the quotes, behind the second).
pub(super) fn split_string(text: &str) -> Option<(&str, &str)> {
    let (quoted, rest) = text.split_at_checked(string_end(text.as_bytes(), 0))?;
    Some((quoted.strip_prefix('"')?.strip_suffix('"')?, rest))
}

fn value_end(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => string_end(bytes, 0),
        Some(b'[' | b'{') => container_end(bytes),
        _ => scalar_end(bytes, 0),
    }
}

/// The position behind the closing quote of the string that opens at `open`, or the end of the text.
pub(crate) fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The position behind the number or word that begins at `at`, or the end of the text.
pub(crate) fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let is_end = |&byte: &u8| matches!(byte, b',' | b']' | b'}') || is_whitespace(byte);
    bytes.get(at..).and_then(|rest| rest.iter().position(is_end)).map_or(bytes.len(), |length| at + length)
}

/// Brackets are only counted, not matched: the text was validated.
fn container_end(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth <= 1 => return at + 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

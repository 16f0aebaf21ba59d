//! Writing JSON text into byte buffers; `JSON.stringify`'s form, so without a space.

const ESCAPE_HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes a string with its quotes: `a"b` becomes `"a\"b"`.
///
/// Escaped are the quote, the backslash and what is below U+0020, as `JSON.stringify` does; all else stays UTF-8.
pub fn push_str(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        push_escaped(out, bytes);
    }
    out.push(b'"');
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether nothing is special. Looks at words without an early way out, of which the compiler makes vector code, and
/// at the last word once more where the length is no multiple.
fn is_plain(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk() else {
        return !bytes.iter().fold(false, |found, &byte| found | is_special(byte));
    };
    let (words, _) = bytes.as_chunks();
    words.iter().fold(special_bits(*last), |found, word| found | special_bits(*word)) == 0
}

/// Not zero if one of eight bytes is special. From a byte below a bound the subtraction borrows, which shows in its
/// highest bit; a byte that is equal to another differs from it by nothing, which is below one.
const fn special_bits(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const fn below(word: u64, bound: u8) -> u64 {
        word.wrapping_sub(ONES * bound as u64) & !word & (ONES << 7)
    }
    let word = u64::from_ne_bytes(word);
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    below(word, 0x20) | quote | backslash
}

fn push_escaped(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(at) = rest.iter().position(|&byte| is_special(byte)) {
        out.extend_from_slice(&rest[..at]);
        push_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digits = [ESCAPE_HEX[usize::from(byte >> 4)], ESCAPE_HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Writes a whole number that is not negative.
pub fn push_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a whole number.
pub fn push_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a number in the shortest form that reads back as the same; `null` if it is not finite, as JavaScript does.
pub fn push_f64(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes `true` or `false`.
pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Writes one object field by field: begin, fields, end.
///
/// Whoever drops it without [`ObjectWriter::end`] leaves an open brace in the buffer.
#[derive(Debug)]
#[must_use = "an object is closed by `end`"]
pub struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Writes the opening brace.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Writes a field's name and hands out the buffer for exactly one value, such as an array or a nested object.
    pub fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_str(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// Writes a field with a string.
    pub fn field_str(&mut self, name: &str, value: &str) -> &mut Self {
        push_str(self.field(name), value);
        self
    }

    /// Writes a field with text that is JSON already; it is copied as it is.
    pub fn field_raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.field(name).extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a field with a whole number that is not negative.
    pub fn field_u64(&mut self, name: &str, value: u64) -> &mut Self {
        push_u64(self.field(name), value);
        self
    }

    /// Writes a field with `true` or `false`.
    pub fn field_bool(&mut self, name: &str, value: bool) -> &mut Self {
        push_bool(self.field(name), value);
        self
    }

    /// Writes the closing brace.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_string_is_written_as_serde_json_does() {
        let all: String = (0..0x180).filter_map(char::from_u32).chain("🙂\u{2028}".chars()).collect();
        for text in ["", "plain", "\"", "a\\b\u{1f}c", &all] {
            assert_eq!(written(|out| push_str(out, text)), serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn what_is_special_is_found_at_every_place() {
        for length in 0..50 {
            for byte in 0..=u8::MAX {
                let mut bytes = vec![byte; length];
                assert_eq!(is_plain(&bytes), length == 0 || !is_special(byte), "{byte} {length}");
                for at in 0..length {
                    bytes.fill(0xff - byte % 0x40);
                    bytes[at] = byte;
                    assert_eq!(is_plain(&bytes), !is_special(byte), "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        assert_eq!(written(|out| push_u64(out, u64::MAX)), "18446744073709551615");
        assert_eq!(written(|out| push_i64(out, i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|out| push_f64(out, 0.1)), "0.1");
        assert_eq!(written(|out| push_f64(out, 5.0)), "5");
        assert_eq!(written(|out| push_f64(out, f64::NAN)), "null");
    }

    #[test]
    fn an_object_has_a_comma_between_fields_only() {
        assert_eq!(written(|out| ObjectWriter::begin(out).end()), "{}");
        let object = written(|out| {
            let mut object = ObjectWriter::begin(out);
            object.field_str("a\"", "b").field_raw("c", "[1]").field_u64("d", 7).field_bool("e", false);
            ObjectWriter::begin(object.field("f")).end();
            object.end();
        });
        assert_eq!(object, r#"{"a\"":"b","c":[1],"d":7,"e":false,"f":{}}"#);
    }
}

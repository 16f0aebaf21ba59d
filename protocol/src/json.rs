//! JSON as it travels: validated once, then read and forwarded as raw slices of the text that came.
//!
//! A [`Json`] owns nothing and decodes nothing before it is asked to, so an event can be checked, its few fields
//! read, and the original bytes sent on. There is no document tree here, and nothing recurses over input.

mod read;
mod slice;
mod text;
mod validator;
pub mod write;

use std::borrow::Cow;
use std::fmt;

pub use read::{DuplicateField, Fields, Items, Key};
pub use validator::{DEPTH_MAX, JsonError, KEPT_BYTES_MAX, Validator};
pub use write::{ObjectWriter, push_bool, push_f64, push_i64, push_str, push_u64};

pub(crate) use slice::{scalar_end, skip_whitespace, string_end};
pub(crate) use validator::is_json;

/// `{}` as a value.
pub const EMPTY_OBJECT: Json<'static> = Json::trusted("{}");

/// Which of the six kinds of JSON value a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number of any size and form.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One JSON value as a slice of validated text, without white space around it.
///
/// Made by [`Validator::check`]. Reading costs a walk over the slice every time, so ask once: several fields of an
/// object come from one [`Json::read`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Json<'a> {
    raw: &'a str,
}

impl<'a> Json<'a> {
    /// Takes a constant of ours for JSON without looking at it.
    ///
    /// Text that is no JSON does no harm to memory, but would be forwarded as it is.
    #[must_use]
    pub const fn trusted(text: &'static str) -> Json<'static> {
        Json { raw: text }
    }

    /// Wraps text that is known to be one JSON value; white space around it is cut off.
    pub(crate) fn slice(text: &'a str) -> Self {
        Self { raw: slice::trim(text) }
    }

    /// The exact text that came from the peer, for forwarding.
    #[must_use]
    pub const fn as_raw(self) -> &'a str {
        self.raw
    }

    /// The kind of the value, told from its first byte.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The text of a string with its escapes resolved; `None` for any other kind.
    ///
    /// Borrowed when the string has no escape. Two `\u` halves of a surrogate pair become one character.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let inner = self.raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(text::unescape(inner))
    }

    /// The value of `true` or `false`; `None` for any other kind.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number from 0 to `u64::MAX`; `None` for any other value.
    ///
    /// `5.0` and `5e0` are 5, since some clients print whole floating point numbers so, up to 2^53.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw.parse().ok().or_else(|| u64::try_from(self.as_whole_float()?).ok())
    }

    /// A whole number from `i64::MIN` to `i64::MAX`; `None` for any other value. Forms as in [`Json::as_u64`].
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw.parse().ok().or_else(|| self.as_whole_float())
    }

    /// The nearest floating point number, always finite; `None` if the value is no number.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.raw.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn as_whole_float(self) -> Option<i64> {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        let number = self.as_f64()?;
        let is_exact = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        is_exact.then_some(number as i64)
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_two_words() {
        assert_eq!(size_of::<Json<'_>>(), 16);
    }

    #[test]
    fn numbers_are_read_in_every_form_that_means_the_same() {
        let check = |text: &'static str, unsigned: Option<u64>, signed: Option<i64>, float: Option<f64>| {
            let json = Json::trusted(text);
            assert_eq!((json.as_u64(), json.as_i64(), json.as_f64()), (unsigned, signed, float), "{text}");
        };
        check("0", Some(0), Some(0), Some(0.0));
        check("-0", Some(0), Some(0), Some(-0.0));
        check("5.0", Some(5), Some(5), Some(5.0));
        check("5e2", Some(500), Some(500), Some(500.0));
        check("-7", None, Some(-7), Some(-7.0));
        check("1.5", None, None, Some(1.5));
        check("18446744073709551615", Some(u64::MAX), None, Some(18_446_744_073_709_551_615.0));
        check("18446744073709551616", None, None, Some(18_446_744_073_709_551_616.0));
        check("1e300", None, None, Some(1e300));
        check("1e999", None, None, None);
        check("\"1\"", None, None, None);
        check("-inf", None, None, None);
    }

    #[test]
    fn kinds_are_told_from_the_first_byte() {
        let texts = ["null", "true", "-1", "\"\"", "[]", "{}"];
        let kinds = [Kind::Null, Kind::Bool, Kind::Number, Kind::String, Kind::Array, Kind::Object];
        for (text, kind) in texts.into_iter().zip(kinds) {
            assert_eq!(Json::trusted(text).kind(), kind);
        }
        assert_eq!(Json::trusted("false").as_bool(), Some(false));
        assert_eq!(Json::trusted("\"false\"").as_bool(), None);
        assert_eq!(Json::trusted("\"a").as_str(), None);
        assert_eq!(Json::trusted("\"").as_str(), None);
    }
}

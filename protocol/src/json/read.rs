//! Walking one level of an array or object.

use std::borrow::Cow;
use std::fmt;

use super::slice::{skip_whitespace, split_string, split_value};
use super::{Json, text};

/// A field that was asked for by name occurs twice in the object.
///
/// Readers differ in which of the two they take, so what was checked here might not be what is used elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateField {
    /// Position of the field in the list of names that was asked for.
    pub index: usize,
}

impl fmt::Display for DuplicateField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "field {} occurs twice", self.index)
    }
}

impl std::error::Error for DuplicateField {}

impl<'a> Json<'a> {
    /// The items of an array, in order; none if the value is not an array.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        Items { rest: self.as_raw().strip_prefix('[').unwrap_or("") }
    }

    /// The fields of an object, in order and with repetitions; none if the value is not an object.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self.as_raw().strip_prefix('{').unwrap_or("") }
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        self.fields().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// Reads several fields in one pass, in the order of `names`.
    ///
    /// `{"a":1,"x":2}` read for `["x", "y"]` gives `[Some(2), None]`. Fields that were not asked for may repeat.
    ///
    /// # Errors
    /// [`DuplicateField`] if a field that was asked for occurs twice.
    pub fn read<const N: usize>(self, names: [&str; N]) -> Result<[Option<Json<'a>>; N], DuplicateField> {
        let mut values = [None; N];
        for (key, value) in self.fields() {
            let Some(index) = names.iter().position(|name| key.is(name)) else {
                continue;
            };
            if values[index].replace(value).is_some() {
                return Err(DuplicateField { index });
            }
        }
        Ok(values)
    }
}

/// Iterator over the items of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a str,
}

impl<'a> Items<'a> {
    /// The text of all items that were not taken yet, with the commas between them; empty if there are none.
    ///
    /// After the first item of `["say","hi", 5]` this is `"hi", 5`: what is forwarded behind another first item.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        let rest = self.rest.strip_suffix(']').unwrap_or(self.rest);
        super::slice::trim(rest)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let (value, rest) = split_value(skip_whitespace(self.rest))?;
        self.rest = behind_comma(rest);
        Some(value)
    }
}

/// Iterator over the fields of an object.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Key<'a>, Json<'a>);

    fn next(&mut self) -> Option<(Key<'a>, Json<'a>)> {
        let field = skip_whitespace(std::mem::take(&mut self.rest));
        let (key, rest) = split_string(field)?;
        let rest = skip_whitespace(rest).strip_prefix(':')?;
        let (value, rest) = split_value(skip_whitespace(rest))?;
        self.rest = behind_comma(rest);
        Some((Key { raw: key }, value))
    }
}

fn behind_comma(rest: &str) -> &str {
    let rest = skip_whitespace(rest);
    match rest.as_bytes().first() {
        Some(b',') => &rest[1..],
        // Kept, so that `Items::rest` can tell the end of the array from an item.
        Some(b']') => rest,
        _ => "",
    }
}

/// The name of a field, escapes not resolved.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    raw: &'a str,
}

impl<'a> Key<'a> {
    /// Whether the key means this name, however it is escaped: `"\u0061"` is `a`.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        if self.raw.contains('\\') { self.as_str() == name } else { self.raw == name }
    }

    /// The name with its escapes resolved.
    #[must_use]
    pub fn as_str(self) -> Cow<'a, str> {
        text::unescape(self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::slice(text)
    }

    fn raw<'a>(values: impl Iterator<Item = Json<'a>>) -> Vec<&'a str> {
        values.map(Json::as_raw).collect()
    }

    #[test]
    fn items_keep_their_exact_text() {
        let array = json(r#" [ 1 ,"a\"]", [ [ ] , {"b":"}"}] ,null,1.0 ] "#);
        assert_eq!(raw(array.items()), ["1", r#""a\"]""#, r#"[ [ ] , {"b":"}"}]"#, "null", "1.0"]);
        assert_eq!(raw(json("[]").items()), [""; 0]);
        assert_eq!(raw(json("{}").items()), [""; 0]);
    }

    #[test]
    fn what_follows_an_item_can_be_forwarded_as_it_is() {
        let check = |text, expected| {
            let mut items = json(text).items();
            items.next();
            assert_eq!(items.rest(), expected, "{text}");
        };
        check(r#"["say","hi", 5 ]"#, r#""hi", 5"#);
        check(r#"["say", [1] ]"#, "[1]");
        check(r#"["say" ]"#, "");
        check("[]", "");
        check("{}", "");
    }

    #[test]
    fn keys_are_compared_by_what_they_mean() {
        let object = json(r#"{"\u0061b":1,"c\\":2, "" : 3}"#);
        assert_eq!(object.get("ab").map(Json::as_raw), Some("1"));
        assert_eq!(object.get("c\\").map(Json::as_raw), Some("2"));
        assert_eq!(object.get("").map(Json::as_raw), Some("3"));
        assert_eq!(object.get("c\\\\"), None);
        assert_eq!(object.get(r"\u0061b"), None);
        assert_eq!(json("[]").get("a"), None);
    }

    #[test]
    fn a_field_asked_for_may_not_occur_twice() {
        let object = json(r#"{"a":1,"x":0,"b":2,"x":0,"\u0061":3}"#);
        assert_eq!(object.read(["b", "none"]), Ok([Some(json("2")), None]));
        assert_eq!(object.read(["b", "a"]), Err(DuplicateField { index: 1 }));
        assert_eq!(object.get("a"), Some(json("1")));
    }

    fn assert_stays_inside(text: &str) {
        let json = json(text);
        let inside = |part: &str| text.as_bytes().as_ptr_range().contains(&part.as_ptr()) || part.is_empty();
        assert!(json.items().all(|item| inside(item.as_raw())), "{text:?}");
        assert!(json.fields().all(|(key, field)| inside(key.raw) && inside(field.as_raw())), "{text:?}");
        assert!(json.items().count() + json.fields().count() <= text.len(), "{text:?}");
        assert!(json.items().rest().len() <= text.len());
        let _ = (json.as_str(), json.as_f64(), json.as_i64(), json.as_u64(), json.read(["a", "b"]));
    }

    #[test]
    fn broken_text_ends_and_stays_inside() {
        for text in [
            "[",
            "[,",
            "[,,1]",
            "[\"",
            "[\"\\",
            "[1 2",
            "[}",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":,",
            "{\"ä\\ü\":ö",
            "{1:2}",
        ] {
            assert_stays_inside(text);
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_ends_and_stays_inside(text in "[\\[{]([\\[\\]{}\",:\\\\ua01eé🙂 ]{0,30}|\\PC{0,30})") {
            assert_stays_inside(&text);
        }
    }
}

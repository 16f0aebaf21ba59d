//! Placeholders: `{"_placeholder":true,"num":0}` stands where an attachment belongs.

use crate::json::{Json, scalar_end, skip_whitespace, string_end};

use super::ParseError;

/// What is known of an object whose closing brace has not been reached.
#[derive(Clone, Copy, Default)]
struct Open {
    is_placeholder: bool,
    num: Option<u64>,
}

/// Checks that every placeholder, at any depth, names one of the attachments.
///
/// One pass over the text with one entry for each open object; validation bounds their number
/// ([`crate::json::DEPTH_MAX`]). Of a field that repeats, the last counts, as in JavaScript.
pub(super) fn check(data: Json<'_>, attachments: usize) -> Result<(), ParseError> {
    let text = data.as_raw();
    let bytes = text.as_bytes();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Open::default()),
            b'}' => close(open.pop(), attachments)?,
            b'"' => {
                let end = string_end(bytes, at);
                if let (Some(object), Some(value)) = (open.last_mut(), value_behind(text, end)) {
                    object.read(text.get(at..end).unwrap_or(""), value);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The number or word behind a key; `None` if the string that ends at `end` is no key.
fn value_behind(text: &str, end: usize) -> Option<&str> {
    let value = skip_whitespace(skip_whitespace(text.get(end..)?).strip_prefix(':')?);
    value.get(..scalar_end(value.as_bytes(), 0))
}

impl Open {
    fn read(&mut self, key: &str, value: &str) {
        match Json::slice(key).as_str().as_deref() {
            Some("_placeholder") => self.is_placeholder = value == "true",
            Some("num") => self.num = Json::slice(value).as_u64(),
            _ => {}
        }
    }
}

fn close(object: Option<Open>, attachments: usize) -> Result<(), ParseError> {
    match object {
        Some(Open { is_placeholder: true, num }) => {
            let is_attached =
                num.and_then(|num| usize::try_from(num).ok()).is_some_and(|num| num < attachments);
            if is_attached { Ok(()) } else { Err(ParseError::Placeholder) }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_names_an_attachment() {
        let verdict = |text: &'static str| check(Json::trusted(text), 2).is_ok();
        let accepted = [
            r#"["a",{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]"#,
            r#"["a",{"b":[{ "_placeholder" : true , "num" : 1.0 }]}]"#,
            r#"["a",{"_placeholder":false,"num":7},{"num":9},{"_placeholder":"true"}]"#,
            r#"["_placeholder",true,"num",9,":",{"a":"_placeholder"}]"#,
            r#"[{"_placeholder":true,"num":5,"num":-0}]"#,
            r#"[{"_placeholder":[true],"num":5}]"#,
            r#"[{"_placeholder":true,"_placeholder":1}]"#,
        ];
        for text in accepted {
            assert!(verdict(text), "{text}");
        }
        let refused = [
            r#"["a",{"_placeholder":true,"num":2}]"#,
            r#"["a",{"_placeholder":true,"num":-1}]"#,
            r#"["a",{"_placeholder":true,"num":0.5}]"#,
            r#"["a",{"_placeholder":true,"num":"0"}]"#,
            r#"["a",{"_placeholder":true,"num":1e99}]"#,
            r#"["a",{"_placeholder":true}]"#,
            r#"["a",{"b":[[{"x":{"num":0},"_placeholder":true}]]}]"#,
            r#"["a",{"\u005fplaceholder":true,"num":2}]"#,
            r#"["a",{"_placeholder":true,"num":0,"num":2}]"#,
        ];
        for text in refused {
            assert!(!verdict(text), "{text}");
        }
    }

    #[test]
    fn broken_text_ends() {
        for text in ["}", "{\"", "{\"_placeholder\":", "{\"_placeholder\":true", "\"\\", "{{{{\"é\":é"] {
            assert_eq!(check(Json::trusted(text), 0), Ok(()));
        }
    }
}

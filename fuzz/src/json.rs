//! JSON from strangers: the verdict is that of serde_json, and what was accepted can be read to its last byte.

use protocol::json::{self, Json, JsonError, Kind, Validator};
use serde::de::IgnoredAny;

/// Validates the input as UTF-8 text and reads everything that is in it.
///
/// # Panics
/// If the verdict differs from serde_json's, or if a part that was read lies outside of the text.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match Validator::new().check(text) {
        Ok(json) => {
            assert!(is_json, "accepted what serde_json refuses");
            assert_eq!(read(json, text, 0), json.as_raw().len());
        }
        Err(JsonError::TooDeep) => {
            assert!(data.iter().filter(|byte| b"[{".contains(byte)).count() > json::DEPTH_MAX)
        }
        Err(error) => assert_eq!(error.is_well_formed(), is_json, "{error:?}"),
    }
}

/// Reads a value with all that is in it; validation bounds the depth. Gives the value's length.
/// Values of every kind and form.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"["message:send",{"channelId":"c1","content":"a \"b\" \u00e4\ud83d\ude42\n","mentions":[]}]"#,
        r#" [ 1 , -2.5e3 ,null,true , false,18446744073709551616, 1e400,"\ud800"] "#,
        r#"{"a":{"b":[[[{}]]]},"\u0061":"","":0}"#,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn read(json: Json<'_>, text: &str, depth: usize) -> usize {
    assert!(depth <= json::DEPTH_MAX, "nested deeper than was validated");
    let raw = json.as_raw();
    assert!(text.as_bytes().as_ptr_range().contains(&raw.as_ptr()), "read outside of the text");
    let inside: usize = match json.kind() {
        kind @ (Kind::Null | Kind::Bool | Kind::Number | Kind::String) => {
            let (word, number, text) =
                (json.as_bool().is_some(), json.as_f64().is_some(), json.as_str().is_some());
            let found = (json.is_null(), word, number, text);
            let expected =
                (kind == Kind::Null, kind == Kind::Bool, kind == Kind::Number, kind == Kind::String);
            assert_eq!(found, expected, "a value is of exactly one kind");
            0
        }
        Kind::Array => json.items().map(|item| read(item, text, depth + 1)).sum(),
        Kind::Object => json
            .fields()
            .map(|(key, field)| {
                assert!(key.is(&key.as_str()));
                assert!(json.get(&key.as_str()).is_some());
                read(field, text, depth + 1)
            })
            .sum(),
    };
    assert!(inside < raw.len(), "the parts are longer than the whole");
    raw.len()
}

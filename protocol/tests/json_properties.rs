//! Whatever is valid for serde_json is valid here and reads the same; whatever is not is refused.

use proptest::prelude::*;
use protocol::json::{self, Json, JsonError, Kind, Validator};
use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value};

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,6}",
        any::<String>(),
        "[\"\\\\/\\x00-\\x1f\\x7f\u{2028}é€🙂{}\\[\\]:, ]{0,12}",
        Just("_placeholder".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        string().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let fields = prop::collection::vec((string(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            fields.prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

/// Writes every character of every string as an escape, pairs of surrogates included.
fn escaped(value: &Value) -> String {
    let quoted = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{units}\"")
    };
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[ {}\n]", items.iter().map(escaped).collect::<Vec<_>>().join(" ,\t")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, field)| format!("{} : {}", quoted(key), escaped(field))).collect();
            format!("{{\r{} }}", fields.join(","))
        }
        other => other.to_string(),
    }
}

fn assert_same(json: Json<'_>, value: &Value) {
    match value {
        Value::Null => assert!(json.is_null()),
        Value::Bool(expected) => assert_eq!(json.as_bool(), Some(*expected)),
        Value::Number(expected) => {
            assert_eq!(json.kind(), Kind::Number);
            assert_eq!(json.as_f64(), expected.as_f64());
            assert!(expected.as_u64().is_none_or(|number| json.as_u64() == Some(number)));
            assert!(expected.as_i64().is_none_or(|number| json.as_i64() == Some(number)));
        }
        Value::String(expected) => assert_eq!(json.as_str().as_deref(), Some(expected.as_str())),
        Value::Array(expected) => {
            let items: Vec<Json<'_>> = json.items().collect();
            assert_eq!((json.kind(), items.len()), (Kind::Array, expected.len()));
            items.into_iter().zip(expected).for_each(|(json, value)| assert_same(json, value));
        }
        Value::Object(expected) => {
            assert_eq!((json.kind(), json.fields().count()), (Kind::Object, expected.len()));
            for ((key, field), (name, value)) in json.fields().zip(expected) {
                assert_eq!(key.as_str(), name.as_str());
                assert!(key.is(name));
                assert_eq!(json.get(name), Some(field));
                assert_same(field, value);
            }
        }
    }
}

fn assert_same_verdict(text: &str) {
    let verdict = Validator::new().check(text).map(Json::as_raw);
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match verdict {
        Ok(raw) => {
            assert!(is_json, "{text:?} is no JSON");
            assert_eq!(raw, text.trim_matches([' ', '\t', '\n', '\r']));
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text:?} has no value");
        }
        Err(JsonError::TooDeep) => assert!(text.matches(['[', '{']).count() > json::DEPTH_MAX),
        Err(error) => assert_eq!(error.is_well_formed(), is_json, "{text:?} is {error:?}"),
    }
}

fn config() -> ProptestConfig {
    use proptest::test_runner::FileFailurePersistence;
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_value_is_read_as_serde_json_reads_it(value in value()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), escaped(&value)] {
            let mut validator = Validator::new();
            let json = validator.check(&text).unwrap();
            prop_assert_eq!(json.as_raw(), &text);
            assert_same(json, &value);
        }
    }

    #[test]
    fn damaged_text_gets_the_verdict_of_serde_json(
        value in value(),
        at in any::<prop::sample::Index>(),
        damage in "[\\[\\]{}\",:\\\\u0-9eE+. \\-dtn\\x00\\xff]{0,3}",
        removed in 0_usize..4,
    ) {
        let mut characters: Vec<char> = value.to_string().chars().collect();
        let at = at.index(characters.len() + 1);
        let end = (at + removed).min(characters.len());
        characters.splice(at..end, damage.chars());
        assert_same_verdict(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn noise_gets_the_verdict_of_serde_json(text in "[\\[\\]{}\",:\\\\u0-9dDeE+. \\-\ntrue]{0,24}") {
        assert_same_verdict(&text);
    }

    #[test]
    fn every_string_is_written_as_serde_json_writes_it(text in string()) {
        let mut out = Vec::new();
        json::push_str(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn every_number_is_written_so_that_it_reads_back(number in any::<f64>()) {
        let mut out = Vec::new();
        json::push_f64(&mut out, number);
        let text = String::from_utf8(out).unwrap();
        let json = Validator::new().check(&text).unwrap().as_f64();
        prop_assert_eq!(json, Some(number).filter(|number| number.is_finite()));
    }
}

//! Values of settings by their type. Asking for a setting as what its rule does not read is a mistake of ours, and
//! shows at the first start.

use std::net::IpAddr;

use jsonwebtoken::Algorithm;

use super::resolved::Resolved;
use super::rule::Value;

/// The promise of the table for settings that are read without `_if_set`.
const HAS_DEFAULT: &str = "the table gives the setting a default of this type";

impl Resolved {
    /// A number of a setting that always has one.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> T {
        self.number_if_set(name).expect(HAS_DEFAULT)
    }

    /// A number, if there is one.
    pub(super) fn number_if_set<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        let Some(Value::Number(number)) = self.value(name) else { return None };
        Some(T::try_from(*number).ok().expect("the setting's rule keeps it within the field"))
    }

    /// A switch of a setting that always has one.
    pub(super) fn switch(&self, name: &str) -> bool {
        let switch = match self.value(name) {
            Some(Value::Switch(is_on)) => Some(*is_on),
            _ => None,
        };
        switch.expect(HAS_DEFAULT)
    }

    /// A text of a setting that always has one.
    pub(super) fn text(&self, name: &str) -> String {
        self.text_if_set(name).expect(HAS_DEFAULT)
    }

    /// A text, if there is one.
    pub(super) fn text_if_set(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Words; none if the setting is not set.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(words)) => words.clone(),
            _ => Vec::new(),
        }
    }

    /// Words; none if the setting is not set, or is `none`.
    pub(super) fn names(&self, name: &str) -> Vec<Box<str>> {
        let words = self.list(name);
        match &words[..] {
            [word] if word.eq_ignore_ascii_case("none") => Vec::new(),
            words => words.iter().map(|word| word.as_str().into()).collect(),
        }
    }

    /// An address, if there is one.
    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        match self.value(name) {
            Some(Value::Address(address)) => Some(*address),
            _ => None,
        }
    }

    /// An algorithm of a setting that always has one.
    pub(super) fn algorithm(&self, name: &str) -> Algorithm {
        let algorithm = match self.value(name) {
            Some(Value::Algorithm(algorithm)) => Some(*algorithm),
            _ => None,
        };
        algorithm.expect(HAS_DEFAULT)
    }
}

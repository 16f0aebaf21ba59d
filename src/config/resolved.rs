//! Where each setting's value comes from: a flag goes before the environment, the setting's own name before its
//! aliases, all of them before the default. Empty texts count as unset, because compose files write `${NAME:-}`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::aliases::{self, ALIASES};
use super::command_line::Flags;
use super::rule::Value;
use super::setting::{Fallback, Setting, Standing};
use super::table::SETTINGS;

/// Who said what a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// The variable of the setting's own name.
    Environment,
    /// The variable of this other name.
    Alias(&'static str),
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Environment => formatter.write_str("environment"),
            Self::Alias(alias) => write!(formatter, "alias {alias}"),
            Self::Flag => formatter.write_str("flag"),
        }
    }
}

/// One setting with what was said.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// The text that holds, if any; a refused one, too.
    pub text: Option<String>,
    /// What the text says; none when there is no text, or it was refused.
    pub value: Option<Value>,
    /// Who said so.
    pub source: Source,
}

impl Entry {
    /// The value for people, with secrets masked.
    pub fn shown(&self) -> String {
        match (&self.text, self.setting.fallback) {
            (Some(text), _) => self.setting.shown(text),
            (None, Fallback::Unset(meaning)) => format!("({meaning})"),
            (None, Fallback::Text(default)) => default.to_owned(),
        }
    }

    /// Whether somebody asked for more than `already`.
    fn asks_beyond(&self, already: &str) -> bool {
        self.source != Source::Default
            && self.value.is_some()
            && self.value != self.setting.rule.read(already).ok()
    }

    /// The text and where it stands, for a message about it.
    fn place(&self) -> String {
        let name = match (self.source, self.setting.flag) {
            (Source::Alias(alias), _) => alias.to_owned(),
            (Source::Flag, Some(flag)) => format!("--{flag}"),
            _ => self.setting.name.to_owned(),
        };
        format!("{name}={}", self.shown())
    }
}

/// All settings with what was said, and what is wrong or doubtful about it.
#[derive(Clone, Debug)]
pub struct Resolved {
    entries: Vec<Entry>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Resolved {
    /// Reads all settings. Nothing is refused here; see [`Resolved::problems`].
    pub fn new(flags: &Flags, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut resolved = Self { entries: Vec::new(), problems: Vec::new(), warnings: Vec::new() };
        let variables = resolved.variables(environment);
        resolved.warnings.extend(variables.keys().filter_map(|name| aliases::warning(name)));
        for setting in SETTINGS {
            let entry = resolved.entry_of(setting, flags, &variables);
            resolved.entries.push(entry);
        }
        resolved.judge_standings();
        resolved.judge_typing();
        resolved
    }

    /// The entries in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What keeps the node from starting: sentences that say what to write instead.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What the operator should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A setting's value, if it has one.
    ///
    /// # Panics
    /// If the table has no such setting.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let entry = self.entries.iter().find(|entry| entry.setting.name == name);
        entry.expect("every name that the node asks for is in the table").value.as_ref()
    }

    /// Whether somebody said what a setting is.
    pub(super) fn is_said(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.setting.name == name && entry.source != Source::Default)
    }

    /// The variables that concern us and are not empty, by name.
    fn variables(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for (name, text) in environment {
            let Ok(name) = name.into_string() else { continue };
            if !aliases::concerns_us(&name) {
                continue;
            }
            match text.into_string() {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => drop(variables.insert(name, text)),
                Err(_) => self.problems.push(format!("{name} is not UTF-8: write it anew, or unset it")),
            }
        }
        variables
    }

    fn entry_of(
        &mut self,
        setting: &'static Setting,
        flags: &Flags,
        variables: &BTreeMap<String, String>,
    ) -> Entry {
        let mut entry = Entry { setting, text: None, value: None, source: Source::Default };
        let aliases = ALIASES.iter().filter(|(_, name)| *name == setting.name).map(|(alias, _)| *alias);
        let said = flags.text(setting).map(|text| (text, Source::Flag)).into_iter();
        let said = said.chain(variables.get(setting.name).map(|text| (text.as_str(), Source::Environment)));
        let aliases =
            aliases.filter_map(|alias| Some((variables.get(alias)?.as_str(), Source::Alias(alias))));
        let default = match setting.fallback {
            Fallback::Text(default) => Some((default, Source::Default)),
            Fallback::Unset(_) => None,
        };
        for (text, source) in said.chain(aliases).chain(default) {
            let text = if setting.is_secret { text } else { text.trim() };
            match (entry.text.as_deref(), source) {
                (None, _) => (entry.text, entry.source) = (Some(text.to_owned()), source),
                // General names such as PORT are there for everybody, and overruled as a matter of course.
                (Some(held), Source::Alias(alias)) if alias.starts_with("REALTIME_") && held != text => {
                    self.warnings.push(format!("{alias} is overruled by {}: unset it", setting.name));
                }
                _ => {}
            }
        }
        self.read(&mut entry);
        entry
    }

    fn read(&mut self, entry: &mut Entry) {
        let Some(text) = &entry.text else { return };
        let is_unexpanded = text.starts_with("${") && text.ends_with('}');
        let read = match is_unexpanded && entry.setting.standing != Standing::Elsewhere {
            true => Err("a variable that nobody filled in: write the value itself".to_owned()),
            false => entry.setting.rule.read(text),
        };
        match read {
            Ok(value) => entry.value = Some(value),
            Err(hint) => self.problems.push(format!("{}: {hint}", entry.place())),
        }
    }

    /// One warning for all that is asked for and not done.
    fn judge_standings(&mut self) {
        let mut pending = Vec::new();
        for entry in &self.entries {
            if let Standing::Pending { already } = entry.setting.standing
                && entry.asks_beyond(already)
            {
                pending.push(entry.setting.name);
            }
        }
        if !pending.is_empty() {
            self.warnings.push(format!("accepted, not acted on by this version: {}", pending.join(", ")));
        }
    }

    fn judge_typing(&mut self) {
        let [timeout, debounce] = ["REALTIME_TYPING_TIMEOUT", "REALTIME_TYPING_DEBOUNCE"];
        if let (Some(Value::Number(ends)), Some(Value::Number(repeats))) =
            (self.value(timeout), self.value(debounce))
            && repeats >= ends
        {
            self.problems.push(format!(
                "{debounce}={repeats}: write less than {timeout}, which is {ends}, or typing ends while somebody types"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> Resolved {
        Resolved::new(&Flags::default(), variables.iter().map(|(name, text)| (name.into(), text.into())))
    }

    fn entry(resolved: &Resolved, name: &str) -> (String, Source) {
        let entry = resolved.entries().iter().find(|entry| entry.setting.name == name).unwrap();
        (entry.shown(), entry.source)
    }

    #[test]
    fn the_specified_name_goes_before_older_and_general_ones() {
        let check = |variables: &[(&str, &str)], expected: (&str, Source), warning_count: usize| {
            let resolved = resolved(variables);
            let (text, source) = entry(&resolved, "REALTIME_WEBSOCKET_MAX_CONNECTIONS");
            assert_eq!((text.as_str(), source), expected);
            assert_eq!(resolved.warnings().len(), warning_count, "{:?}", resolved.warnings());
        };
        let (spec, alias) = ("REALTIME_WEBSOCKET_MAX_CONNECTIONS", "REALTIME_MAX_CONNECTIONS");
        check(&[], ("10000", Source::Default), 0);
        check(&[(alias, "7")], ("7", Source::Alias(alias)), 0);
        check(&[(alias, "7"), (spec, "9")], ("9", Source::Environment), 1);
        check(&[(alias, "9"), (spec, "9")], ("9", Source::Environment), 0);
        check(&[(alias, "7"), (spec, "")], ("7", Source::Alias(alias)), 0);
        let both = resolved(&[("PORT", "1"), ("REALTIME_PORT", "2")]);
        assert_eq!(entry(&both, "REALTIME_PORT"), ("2".to_owned(), Source::Environment));
        assert!(both.warnings().is_empty());
    }

    #[test]
    fn empty_texts_are_unset() {
        let resolved =
            resolved(&[("REALTIME_REDIS_PASSWORD", ""), ("REALTIME_CORES", " "), ("REALTIME_PROT", "")]);
        assert_eq!(entry(&resolved, "REALTIME_REDIS_PASSWORD").1, Source::Default);
        assert!(resolved.problems().is_empty() && resolved.warnings().is_empty());
    }

    #[test]
    fn what_is_not_acted_on_is_named_in_one_warning_unless_it_is_so_anyway() {
        let check = |variables: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(resolved(variables).warnings(), expected, "{variables:?}");
        };
        check(
            &[("REALTIME_ENABLE_COMPRESSION", "on")],
            &["accepted, not acted on by this version: REALTIME_ENABLE_COMPRESSION"],
        );
        check(&[("REALTIME_REDIS_ENABLED", "no"), ("REALTIME_ENABLE_COMPRESSION", "off")], &[]);
        check(&[("REALTIME_ENABLED", "true"), ("REALTIME_ROUTE", "realtime.${BASE_DOMAIN}")], &[]);
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let environment = [("REALTIME_JWT_SECRET".into(), OsString::from_vec(vec![0xff]))];
        assert!(Resolved::new(&Flags::default(), environment).problems()[0].contains("is not UTF-8"));
    }
}

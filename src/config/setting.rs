//! What is known of one setting: its names, its form, its default, and whether this version acts on it.

use super::rule::{MASK, Rule, masked_url};

/// One line of the table.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The flag of the same meaning, without its dashes; settings that this version does not act on have none.
    pub flag: Option<&'static str>,
    /// What the text may be.
    pub rule: Rule,
    /// What holds when nobody says anything.
    pub fallback: Fallback,
    /// Who acts on it.
    pub standing: Standing,
    /// Whether its value is never shown, nor its blanks touched.
    pub is_secret: bool,
    /// Whether the help leaves it out.
    pub is_hidden: bool,
    /// What it does, for the help.
    pub meaning: &'static str,
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// This text, read like any other.
    Text(&'static str),
    /// Nothing, and this is what it comes to.
    Unset(&'static str),
}

/// Who acts on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The node.
    Acted,
    /// Nobody in this version: to ask for anything but `already` is a warning.
    Pending {
        /// The text that describes what this version does anyway; empty if none does.
        already: &'static str,
    },
    /// The tools around the node, which share its file of variables.
    Elsewhere,
}

impl Setting {
    /// A setting that the node acts on.
    pub const fn acted(name: &'static str, flag: &'static str, rule: Rule, meaning: &'static str) -> Self {
        Self { flag: Some(flag), standing: Standing::Acted, ..Self::pending(name, rule, meaning) }
    }

    /// A setting that this version checks but does not act on.
    pub const fn pending(name: &'static str, rule: Rule, meaning: &'static str) -> Self {
        Self {
            name,
            flag: None,
            rule,
            fallback: Fallback::Unset("not set"),
            standing: Standing::Pending { already: "" },
            is_secret: false,
            is_hidden: false,
            meaning,
        }
    }

    /// A setting for the tools around the node.
    pub const fn elsewhere(name: &'static str, rule: Rule, meaning: &'static str) -> Self {
        Self { standing: Standing::Elsewhere, ..Self::pending(name, rule, meaning) }
    }

    /// With a default.
    pub const fn or(self, default: &'static str) -> Self {
        Self { fallback: Fallback::Text(default), ..self }
    }

    /// With words for what holds when it is unset.
    pub const fn or_else(self, meaning: &'static str) -> Self {
        Self { fallback: Fallback::Unset(meaning), ..self }
    }

    /// Pending, and this version does what `already` asks for.
    pub const fn already(self, already: &'static str) -> Self {
        Self { standing: Standing::Pending { already }, ..self }
    }

    /// Never shown.
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Not in the help.
    pub const fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }

    /// `text` as it may be shown to people.
    pub fn shown(&self, text: &str) -> String {
        match self.rule {
            _ if self.is_secret => MASK.to_owned(),
            Rule::Url(_) => masked_url(text),
            _ => text.to_owned(),
        }
    }

    /// The setting's paragraph in the help of the command line.
    pub fn help(&self) -> String {
        let (Fallback::Text(fallback) | Fallback::Unset(fallback)) = self.fallback;
        let choice = match self.rule {
            Rule::OneOf(words) => format!(" [one of: {}]", words.join(", ")),
            _ => String::new(),
        };
        format!("{}{choice} [env: {}] [default: {fallback}]", self.meaning, self.name)
    }
}

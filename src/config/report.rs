//! The configuration on paper: what `realtime check-config` prints. Secrets are masked.

use std::fmt::Write;

use super::Config;
use super::resolved::{Entry, Resolved};
use super::setting::Standing;

/// A report and whether a node would start with what it shows.
pub struct Report {
    /// The text, for a terminal.
    pub text: String,
    /// Whether nothing is wrong.
    pub is_good: bool,
}

impl Report {
    /// Writes the report.
    pub fn new(resolved: &Resolved) -> Self {
        let (problems, warnings) = match Config::new(resolved) {
            Ok(config) => (config.check().err().into_iter().collect(), config.warnings),
            Err(problems) => (problems, resolved.warnings().to_vec()),
        };
        let mut text = String::new();
        let _ = writeln!(text, "realtime {}", env!("CARGO_PKG_VERSION"));
        let is_of = |standing: fn(Standing) -> bool| {
            resolved.entries().iter().filter(move |entry| standing(entry.setting.standing))
        };
        section(&mut text, "settings", rows(is_of(|standing| standing == Standing::Acted)));
        let is_pending = |standing| matches!(standing, Standing::Pending { .. });
        section(&mut text, "accepted, not acted on by this version", rows(is_of(is_pending)));
        let elsewhere = rows(is_of(|standing| standing == Standing::Elsewhere));
        section(&mut text, "for the tools around the node", elsewhere);
        section(&mut text, "warnings", warnings);
        let is_good = problems.is_empty();
        let end = match problems.len() {
            0 => "a node would start with this".to_owned(),
            count => format!("a node would not start with this: {count} to mend"),
        };
        section(&mut text, "errors", problems);
        let _ = writeln!(text, "\n{end}");
        Self { text, is_good }
    }
}

fn section(text: &mut String, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{title}");
    }
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// Columns as wide as their widest, up to a width at which long values stand out of the line.
fn rows<'a>(entries: impl Iterator<Item = &'a Entry> + Clone) -> Vec<String> {
    let shown = entries.map(|entry| (entry.setting.name, entry.shown(), entry.source));
    let rows: Vec<_> = shown.collect();
    let name_width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let value_width = rows.iter().map(|(_, value, _)| value.chars().count().min(VALUE_WIDTH_MAX)).max();
    let value_width = value_width.unwrap_or_default();
    let lines = rows.iter();
    lines.map(|(name, value, source)| format!("{name:name_width$}  {value:value_width$}  {source}")).collect()
}

const VALUE_WIDTH_MAX: usize = 40;

//! A page as one HTML file that needs nothing else: no script, no network, its plots drawn in it.

use std::fmt::{self, Write};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::objectives::{Bound, Objective};
use crate::report::figures::figure;
use crate::report::page::{Page, Section, Table};
use crate::report::svg::{self, escape};

const STYLE: &str = include_str!("html/page.css");

/// A table with more letters in a row, or more columns, is as wide as the page.
const NARROW_LETTERS_MAX: usize = 80;
const NARROW_COLUMNS_MAX: usize = 5;

/// Writes `page` to `file`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(file: &Path, page: &Page) -> Result<()> {
    fs::write(file, render(page)).with_context(|| format!("cannot write {}", file.display()))
}

/// The whole file. Everything that is said in a plot is in a table too.
pub fn render(page: &Page) -> String {
    let title = escape(&page.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n",
        svg::STYLE
    );
    head(&mut out, page);
    objectives(&mut out, &page.objectives);
    let mut plot_count = 0;
    for section in &page.sections {
        plot_count = push_section(&mut out, section, plot_count);
    }
    conditions(&mut out, &page.conditions);
    out.push_str("</body>\n</html>\n");
    out
}

/// Appends a line of markup. Whatever is not ours has been escaped before.
fn put(out: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn head(out: &mut String, page: &Page) {
    let (title, lead) = (escape(&page.title), escape(&page.lead));
    put(out, format_args!("<header>\n<h1>{title}</h1>\n<p>{lead}</p>"));
    let missed = page.objectives.iter().filter(|objective| !objective.is_met()).count();
    match (page.objectives.len(), missed) {
        (0, _) => {}
        (1, 0) => put(out, format_args!("<p class=\"verdict good\">✓ the objective is met</p>")),
        (all, 0) => put(out, format_args!("<p class=\"verdict good\">✓ all {all} objectives are met</p>")),
        (all, missed) => {
            put(out, format_args!("<p class=\"verdict bad\">✗ {missed} of {all} objectives missed</p>"))
        }
    }
    put(out, format_args!("</header>"));
    if !page.warnings.is_empty() {
        put(out, format_args!("<ul class=\"warnings\">"));
        for warning in &page.warnings {
            put(out, format_args!("<li>{}</li>", escape(warning)));
        }
        put(out, format_args!("</ul>"));
    }
    if !page.highlights.is_empty() {
        put(out, format_args!("<dl class=\"highlights\">"));
        for highlight in &page.highlights {
            let (name, value) = (escape(&highlight.name), escape(&highlight.value));
            put(out, format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
        }
        put(out, format_args!("</dl>"));
    }
}

fn objectives(out: &mut String, objectives: &[Objective]) {
    if objectives.is_empty() {
        return;
    }
    put(out, format_args!("<section>\n<h2>Objectives</h2>\n<div class=\"scroll\">\n<table>"));
    put(out, format_args!("<thead><tr><th scope=\"col\"></th><th scope=\"col\">wanted</th>"));
    put(out, format_args!("<th scope=\"col\">measured</th><th scope=\"col\"></th></tr></thead>\n<tbody>"));
    for objective in objectives {
        let Objective { what, unit, bound, measured } = objective;
        let (side, bound) = match bound {
            Bound::AtMost(at_most) => ("at most", at_most),
            Bound::AtLeast(at_least) => ("at least", at_least),
        };
        let measured = measured.map_or("-".to_owned(), |measured| format!("{}{unit}", figure(measured)));
        let (class, verdict) = if objective.is_met() { ("good", "✓ met") } else { ("bad", "✗ missed") };
        let (what, bound) = (escape(what), escape(&format!("{side} {}{unit}", figure(*bound))));
        put(
            out,
            format_args!("<tr><th scope=\"row\">{what}</th><td>{bound}</td><td>{}</td>", escape(&measured)),
        );
        put(out, format_args!("<td class=\"{class}\">{verdict}</td></tr>"));
    }
    put(out, format_args!("</tbody></table>\n</div>\n</section>"));
}

/// Appends a section; `plot_count` is that of the plots before it, and what is returned is that after it.
fn push_section(out: &mut String, section: &Section, plot_count: usize) -> usize {
    put(out, format_args!("<section>\n<h2>{}</h2>", escape(&section.heading)));
    if !section.note.is_empty() {
        put(out, format_args!("<p>{}</p>", escape(&section.note)));
    }
    put(out, format_args!("<div class=\"grid\">"));
    for (index, plot) in section.plots.iter().enumerate() {
        let drawing = svg::inline(plot, plot_count + index);
        put(out, format_args!("<figure><figcaption>{}</figcaption>{drawing}</figure>", escape(plot.title())));
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        push_table(out, table);
    }
    put(out, format_args!("</div>\n</section>"));
    plot_count + section.plots.len()
}

fn push_table(out: &mut String, table: &Table) {
    let is_broad = table.width() > NARROW_LETTERS_MAX || table.columns.len() > NARROW_COLUMNS_MAX;
    let is_wide = table.is_folded || is_broad;
    let class = if is_wide { "scroll wide" } else { "scroll" };
    let caption = escape(&table.caption);
    if table.is_folded {
        put(out, format_args!("<details class=\"{class}\"><summary>{caption}</summary>\n<table>"));
    } else {
        put(out, format_args!("<div class=\"{class}\">\n<table>\n<caption>{caption}</caption>"));
    }
    put(out, format_args!("<thead><tr>"));
    for column in &table.columns {
        put(out, format_args!("<th scope=\"col\">{}</th>", escape(column)));
    }
    put(out, format_args!("</tr></thead>\n<tbody>"));
    for row in &table.rows {
        let mut cells = row.iter();
        put(
            out,
            format_args!(
                "<tr><th scope=\"row\">{}</th>",
                cells.next().map(|name| escape(name)).unwrap_or_default()
            ),
        );
        for cell in cells {
            put(out, format_args!("<td>{}</td>", escape(cell)));
        }
        put(out, format_args!("</tr>"));
    }
    put(out, format_args!("</tbody></table>"));
    put(out, format_args!("</{}>", if table.is_folded { "details" } else { "div" }));
}

fn conditions(out: &mut String, conditions: &[(String, String)]) {
    if conditions.is_empty() {
        return;
    }
    put(
        out,
        format_args!("<section>\n<h2>Conditions</h2>\n<div class=\"scroll\">\n<table class=\"text\"><tbody>"),
    );
    for (name, value) in conditions {
        put(out, format_args!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value)));
    }
    put(out, format_args!("</tbody></table>\n</div>\n</section>"));
}

#[cfg(test)]
mod tests;

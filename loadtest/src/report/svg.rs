//! Plots as SVG: inside of a page, or as files that stand alone. Colours are classes, so that a page and a file can
//! both be light and dark.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::page::Page;
use crate::report::plot::Plot;

mod axis;
mod bars;
mod lines;
mod pen;

use pen::Pen;
pub(in crate::report) use pen::escape;

/// How plots look, in a page and alone.
pub const STYLE: &str = include_str!("svg/plot.css");

/// The width of every plot, in its own units.
const WIDTH: f64 = 640.0;
/// The height of a title above a plot that stands alone.
const TITLE_HEIGHT: f64 = 34.0;
/// How long the name of a plot's file may be.
const FILE_NAME_CHARS_MAX: usize = 80;

/// A drawing without its frame.
struct Drawing {
    height: f64,
    body: String,
}

fn draw(plot: &Plot) -> Drawing {
    match plot {
        Plot::Lines(plot) => lines::draw(plot),
        Plot::Bars(plot) => bars::draw(plot),
    }
}

/// The plot as an element of a page; `id` must be the only one of its kind in the page.
pub fn inline(plot: &Plot, id: usize) -> String {
    let Drawing { height, body } = draw(plot);
    let title = escape(plot.title());
    format!(
        r#"<svg class="plot" role="img" aria-labelledby="plot-{id}" viewBox="0 0 {WIDTH} {height}"><title id="plot-{id}">{title}</title>{body}</svg>"#
    )
}

/// The plot as a file of its own, with its style and with a title that says what of.
pub fn standalone(subject: &str, plot: &Plot) -> String {
    let Drawing { height, body } = draw(plot);
    let heading = format!("{subject}: {}", plot.title());
    let (title, whole) = (escape(&heading), height + TITLE_HEIGHT);
    let mut text = String::new();
    let head = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" aria-labelledby="title" width="{WIDTH}" height="{whole}" viewBox="0 0 {WIDTH} {whole}">"#
    );
    let mut pen = Pen::default();
    pen.text("heading", "start", 12.0, 24.0, &heading);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r#"{head}<title id="title">{title}</title><style>{STYLE}</style><rect class="paper" width="{WIDTH}" height="{whole}" rx="8"/>{}<g transform="translate(0 {TITLE_HEIGHT})">{body}</g></svg>"#,
        pen.into_svg()
    );
    text.push('\n');
    text
}

/// Writes each plot of `page` to a file in `folder`, which is made if it is not there; the file's name is that of
/// the plot, and a second one of the same name gets a number.
///
/// # Errors
/// If a file cannot be written.
pub fn write_all(folder: &Path, page: &Page) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut taken: Vec<String> = Vec::new();
    for section in &page.sections {
        let subject = section.subject.as_ref().unwrap_or(&page.title);
        for plot in &section.plots {
            let name = file_name(&format!("{subject} {}", plot.title()));
            let earlier = taken.iter().filter(|earlier| **earlier == name).count();
            let number = if earlier > 0 { format!("-{}", earlier + 1) } else { String::new() };
            let file = folder.join(format!("{name}{number}.svg"));
            let text = standalone(subject, plot);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            taken.push(name);
        }
    }
    Ok(())
}

/// Letters and digits of `title`, with dashes for all else.
fn file_name(title: &str) -> String {
    let mut name = String::new();
    for letter in title.chars().map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(FILE_NAME_CHARS_MAX);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_for_its_plot() {
        assert_eq!(file_name("Fan-out: 1 room x 1,000, p99 (ms)"), "fan-out-1-room-x-1-000-p99-ms");
        assert_eq!(file_name("../../etc"), "etc");
        assert!(file_name(&"x".repeat(500)).len() <= FILE_NAME_CHARS_MAX);
    }
}

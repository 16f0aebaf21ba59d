//! A report as Markdown: the tables of its page, with aligned columns.

use std::fmt::Write;

use crate::report::page::{Page, Table};

/// All sections of `page`, what to know before them, and the conditions.
pub(super) fn text(page: &Page) -> String {
    let mut out = format!("{}\n", page.lead);
    if !page.conditions.is_empty() {
        let conditions = page.conditions.iter().map(|(name, value)| format!("{name}: {value}"));
        push(&mut out, format_args!("\n{}.\n", conditions.collect::<Vec<_>>().join("; ")));
    }
    for section in &page.sections {
        push(&mut out, format_args!("\n## {}\n\n{}\n", section.heading, section.note));
        for table in &section.tables {
            push(&mut out, format_args!("\n{}:\n\n", table.caption));
            push_table(&mut out, table);
        }
    }
    if !page.warnings.is_empty() {
        out.push('\n');
        page.warnings.iter().for_each(|warning| push(&mut out, format_args!("- {warning}\n")));
    }
    out
}

fn push_table(out: &mut String, table: &Table) {
    let columns = 0..table.columns.len();
    let cell = |row: &[String], column: usize| row.get(column).map_or(String::new(), |cell| escaped(cell));
    let widths = columns.clone().map(|column| {
        let cells = table.rows.iter().map(|row| cell(row, column));
        cells
            .chain([escaped(&table.columns[column])])
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    });
    let widths: Vec<usize> = widths.collect();
    let mut push_row = |row: &[String]| {
        let cells = columns.clone().map(|column| {
            let (cell, width) = (cell(row, column), widths[column]);
            if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
        });
        push(out, format_args!("|{}\n", cells.collect::<String>()));
    };
    push_row(&table.columns);
    let rules = widths.iter().enumerate().map(|(column, &width)| {
        if column == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) }
    });
    push_row(&rules.collect::<Vec<_>>());
    table.rows.iter().for_each(|row| push_row(row));
}

/// A cell's text, in which a bar does not end the cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::Section;

    #[test]
    fn tables_have_aligned_columns_and_no_cell_is_torn() {
        let mut table = Table::new("Values", ["", "CPU, us"]);
        table.row("realtime", ["1 | 2".to_owned()]);
        let mut page = Page::new("Comparison", "Lead.");
        page.warnings.push("slow".to_owned());
        page.sections.push(Section::new("Work", "Note.").table(table));
        let expected = "Lead.\n\n## Work\n\nNote.\n\nValues:\n\n\
                        |          | CPU, us |\n\
                        | -------- | ------: |\n\
                        | realtime |  1 \\| 2 |\n\n- slow\n";
        assert_eq!(text(&page), expected);
    }
}

//! A report as a page for people: what is on it, not how it looks. The `html` and `svg` modules draw it.

use serde::Serialize;

use crate::objectives::Objective;
use crate::report::plot::Plot;

/// What can be shown to people as a page, beside its line of JSON and its lines on the terminal.
pub trait Illustrated {
    /// The page, without objectives and machine, which are the same business for every report.
    fn page(&self) -> Page;
}

/// One page: what ran, how it ended, and sections with plots and tables.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What ran, in a few words.
    pub title: String,
    /// What ran, in a sentence or two: the load in numbers.
    pub lead: String,
    /// The few numbers that are looked for first.
    pub highlights: Vec<Highlight>,
    /// The bounds that the run was held against.
    pub objectives: Vec<Objective>,
    /// What to know before believing a number, such as that the client was the limit.
    pub warnings: Vec<String>,
    /// Everything else, in the order of reading.
    pub sections: Vec<Section>,
    /// Where and how it ran, as names and values.
    pub conditions: Vec<(String, String)>,
}

/// One number that is looked for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// What it is, such as `p99 latency`.
    pub name: String,
    /// The number with its unit, such as `4.21 ms`.
    pub value: String,
}

/// A heading with plots, and the same numbers as tables beside them.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// A sentence that says how to read it; may be empty.
    pub note: String,
    /// What the plots are of, where they stand alone; the page's title if it is not said.
    pub subject: Option<String>,
    /// The plots.
    pub plots: Vec<Plot>,
    /// The tables.
    pub tables: Vec<Table>,
}

/// Rows of text under named columns; the first column names the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// What the table says.
    pub caption: String,
    /// The columns' names; the first is that of the rows' names and may be empty.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
    /// Whether only its caption shows until it is asked for.
    pub is_folded: bool,
}

impl Page {
    /// A page with nothing on it yet but what ran.
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        Self { title: title.into(), lead: lead.into(), ..Self::default() }
    }

    /// Adds a number that is looked for first.
    pub fn highlight(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.highlights.push(Highlight { name: name.into(), value: value.into() });
    }
}

impl Section {
    /// A section without plots and tables yet; `note` says how to read it.
    pub fn new(heading: impl Into<String>, note: impl Into<String>) -> Self {
        Self { heading: heading.into(), note: note.into(), ..Self::default() }
    }

    /// The same section with one more plot.
    pub fn plot(mut self, plot: impl Into<Plot>) -> Self {
        self.plots.push(plot.into());
        self
    }

    /// The same section with one more table.
    pub fn table(mut self, table: Table) -> Self {
        self.tables.push(table);
        self
    }
}

impl Table {
    /// A table without rows yet.
    pub fn new<const N: usize>(caption: impl Into<String>, columns: [&str; N]) -> Self {
        let columns = columns.map(str::to_owned).to_vec();
        Self { caption: caption.into(), columns, ..Self::default() }
    }

    /// Adds a row; cells that are missing at its end stay empty.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        let mut row = vec![name.into()];
        row.extend(cells);
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The letters that its widest row needs about.
    pub fn width(&self) -> usize {
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        (0..self.columns.len()).map(|column| widest(column) + 3).sum()
    }

    /// The same table, of which only the caption shows until it is asked for.
    pub fn folded(mut self) -> Self {
        self.is_folded = true;
        self
    }
}

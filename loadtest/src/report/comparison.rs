//! What several servers showed on the same works: filled by `compare`, shown as bars with whiskers and ratios.

use serde::Serialize;

use crate::report::figures::figure;
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::plot::{Axis, Bar, BarPlot, Scale};

/// Above this ratio between the longest and the shortest bar, bars lie on an axis of powers of ten.
const LOG_RATIO: f64 = 1000.0;

/// What all servers showed on all works.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ComparisonReport {
    /// Always `compare`.
    pub scenario: &'static str,
    /// The load in a sentence or two.
    pub lead: String,
    /// The server that the comparison is about, by its name in [`PeerCell::peer`].
    pub ours: String,
    /// Servers that ratios are given to besides, such as the bare send loop.
    pub references: Vec<String>,
    /// How it was run, as names and values; the machine is added by itself.
    pub conditions: Vec<(String, String)>,
    /// What to know before believing a number, such as which runs were limited by the tester.
    pub warnings: Vec<String>,
    /// The works, in the order of the report.
    pub works: Vec<Work>,
}

/// One work that all servers did.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// Its name, such as `fan-out to 1 room of 1,000 members, 100 messages/s`.
    pub name: String,
    /// What it shows and how, in a sentence; may be empty.
    pub note: String,
    /// What was measured, each in all servers.
    pub measures: Vec<Measure>,
}

/// One number that was measured in all servers.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What it is, such as `CPU per delivery`.
    pub name: String,
    /// Its unit, such as `us`; empty for counts.
    pub unit: String,
    /// Which end of it is the good one.
    pub better: Better,
    /// The value that our server is to reach at least or to stay below at least, if there is one.
    pub target: Option<f64>,
    /// Whether it is drawn as bars; otherwise it is a row of the table only.
    pub is_drawn: bool,
    /// What each server showed.
    pub peers: Vec<PeerCell>,
}

/// What is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Many deliveries per second.
    Higher,
    /// Little time, memory or CPU.
    Lower,
}

/// What one server showed of one measure.
#[derive(Clone, Debug, Serialize)]
pub struct PeerCell {
    /// The server's name.
    pub peer: String,
    /// One value for each round that gave one.
    pub values: Vec<f64>,
}

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub lowest: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The highest.
    pub highest: f64,
}

impl Spread {
    /// The spread of `values`; `None` without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = sorted[(sorted.len() - 1) / 2];
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        Some(Self { lowest, median: f64::midpoint(lower, upper), highest })
    }
}

impl PeerCell {
    /// The middle value; `None` if no round gave one.
    pub fn median(&self) -> Option<f64> {
        Spread::of(&self.values).map(|spread| spread.median)
    }

    /// `median (lowest..highest)`, or a dash without values.
    pub fn text(&self) -> String {
        Spread::of(&self.values).map_or("-".to_owned(), |Spread { lowest, median, highest }| {
            if self.values.len() == 1 {
                return figure(median);
            }
            format!("{} ({}..{})", figure(median), figure(lowest), figure(highest))
        })
    }
}

impl Measure {
    /// The name with its unit, as in `CPU per delivery, us` or `deliveries/s`.
    pub fn title(&self) -> String {
        match self.unit.as_str() {
            "" => self.name.clone(),
            rate if rate.starts_with('/') => format!("{}{rate}", self.name),
            unit => format!("{}, {unit}", self.name),
        }
    }

    /// The middle value of `peer`.
    pub fn median_of(&self, peer: &str) -> Option<f64> {
        self.peers.iter().find(|cell| cell.peer == peer)?.median()
    }

    /// How many times as much `peer` shows as `reference`; `None` without both values.
    pub fn ratio(&self, peer: &str, reference: &str) -> Option<f64> {
        let (value, reference) = (self.median_of(peer)?, self.median_of(reference)?);
        (reference > 0.0).then(|| value / reference)
    }

    /// Whether `peer` reaches the target; `None` without a target or a value.
    pub fn reaches_target(&self, peer: &str) -> Option<bool> {
        let (target, value) = (self.target?, self.median_of(peer)?);
        Some(match self.better {
            Better::Higher => value >= target,
            Better::Lower => value <= target,
        })
    }
}

impl Illustrated for ComparisonReport {
    fn page(&self) -> Page {
        let mut page = Page::new("Comparison", self.lead.clone());
        page.conditions.clone_from(&self.conditions);
        page.warnings.clone_from(&self.warnings);
        page.sections = self.works.iter().map(|work| self.section(work)).collect();
        page
    }
}

impl ComparisonReport {
    fn section(&self, work: &Work) -> Section {
        let mut section = Section::new(work.name.clone(), work.note.clone());
        let drawn = work.measures.iter().filter(|measure| measure.is_drawn);
        section.plots = drawn.map(|measure| self.bars(measure).into()).collect();
        section.subject = Some(work.name.clone());
        section.table(self.values(work)).table(self.ratios(work))
    }

    fn bars(&self, measure: &Measure) -> BarPlot {
        let bars: Vec<Bar> = measure.peers.iter().filter_map(|cell| self.bar(cell)).collect();
        let medians = bars.iter().map(|bar| bar.median);
        let (shortest, longest) = medians.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), median| {
            (low.min(median), high.max(median))
        });
        let is_wide = shortest > 0.0 && longest / shortest > LOG_RATIO;
        let better = match measure.better {
            Better::Higher => "more is better",
            Better::Lower => "less is better",
        };
        BarPlot {
            title: measure.name.clone(),
            axis: Axis {
                label: format!("{} ({better})", measure.title()),
                scale: if is_wide { Scale::Log } else { Scale::Linear },
            },
            bars,
            bounds: measure.target.map(|target| (target, "target".to_owned())).into_iter().collect(),
        }
    }

    fn bar(&self, cell: &PeerCell) -> Option<Bar> {
        let Spread { lowest, median, highest } = Spread::of(&cell.values)?;
        Some(Bar { name: cell.peer.clone(), lowest, median, highest, is_ours: cell.peer == self.ours })
    }

    /// A row for each server, a column for each measure.
    fn values(&self, work: &Work) -> Table {
        let mut table = Table::new("Median (lowest..highest) of the rounds", [""]);
        table.columns.extend(work.measures.iter().map(Measure::title));
        for peer in peers(work) {
            let cell = |measure: &Measure| {
                let cell = measure.peers.iter().find(|cell| cell.peer == peer);
                cell.map_or("-".to_owned(), PeerCell::text)
            };
            table.row(peer, work.measures.iter().map(cell));
        }
        if work.measures.iter().any(|measure| measure.target.is_some()) {
            let target = |measure: &Measure| {
                let target = measure.target?;
                let side = if measure.better == Better::Higher { "at least" } else { "at most" };
                let held = match measure.reaches_target(&self.ours) {
                    Some(true) => ": held",
                    Some(false) => ": missed",
                    None => "",
                };
                Some(format!("{side} {}{held}", figure(target)))
            };
            let targets = work.measures.iter().map(|measure| target(measure).unwrap_or_default());
            table.row(format!("target for {}", self.ours), targets);
        }
        table
    }

    /// A row for each server, a column for each measure that is drawn and each reference.
    fn ratios(&self, work: &Work) -> Table {
        let references: Vec<&str> =
            [self.ours.as_str()].into_iter().chain(self.references.iter().map(String::as_str)).collect();
        let mut table = Table::new("How many times as much as another", [""]);
        let drawn = || work.measures.iter().filter(|measure| measure.is_drawn);
        for measure in drawn() {
            let columns = references.iter().map(|reference| format!("{} / {reference}", measure.name));
            table.columns.extend(columns);
        }
        for peer in peers(work) {
            let ratios = drawn().flat_map(|measure| {
                references
                    .iter()
                    .map(|reference| measure.ratio(peer, reference).map_or("-".to_owned(), times))
            });
            table.row(peer, ratios);
        }
        table
    }
}

/// All servers that showed anything in a work, in the order in which they first appear.
fn peers(work: &Work) -> Vec<&str> {
    let mut peers: Vec<&str> = Vec::new();
    for cell in work.measures.iter().flat_map(|measure| &measure.peers) {
        if !peers.contains(&cell.peer.as_str()) {
            peers.push(&cell.peer);
        }
    }
    peers
}

/// A ratio with two digits behind the point.
fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(peer: &str, values: &[f64]) -> PeerCell {
        PeerCell { peer: peer.to_owned(), values: values.to_vec() }
    }

    fn report() -> ComparisonReport {
        let measure = Measure {
            name: "deliveries".to_owned(),
            unit: "1/s".to_owned(),
            better: Better::Higher,
            target: Some(25.0),
            is_drawn: true,
            peers: vec![cell("realtime", &[30.0, 10.0, 20.0]), cell("node", &[0.005]), cell("gone", &[])],
        };
        let work = Work { name: "fan-out".to_owned(), note: String::new(), measures: vec![measure] };
        ComparisonReport { ours: "realtime".to_owned(), works: vec![work], ..ComparisonReport::default() }
    }

    #[test]
    fn a_cell_is_the_median_and_the_spread() {
        for (values, expected) in [
            (&[][..], "-"),
            (&[2.5], "2.50"),
            (&[30.0, 10.0, 20.0], "20 (10..30)"),
            (&[200.0, 100.0], "150 (100..200)"),
        ] {
            assert_eq!(cell("x", values).text(), expected);
        }
    }

    #[test]
    fn a_ratio_needs_both_sides() {
        let report = report();
        let measure = &report.works[0].measures[0];
        assert_eq!(measure.ratio("realtime", "node"), Some(4000.0));
        assert_eq!(measure.ratio("realtime", "gone"), None);
        assert_eq!(measure.ratio("nobody", "node"), None);
    }

    #[test]
    fn a_page_has_every_server_and_says_that_a_target_was_missed() {
        let page = report().page();
        let names: Vec<&str> = page.sections[0].tables[0].rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["realtime", "node", "gone", "target for realtime"]);
        assert_eq!(page.sections[0].tables[0].rows[3][1], "at least 25: missed");
        assert_eq!(page.sections[0].tables[1].rows[1][1], "0.00");
    }

    #[test]
    fn far_apart_bars_lie_on_powers_of_ten_and_servers_without_values_have_none() {
        let report = report();
        let bars = report.bars(&report.works[0].measures[0]);
        assert_eq!((bars.axis.scale, bars.bars.len()), (Scale::Log, 2));
    }
}

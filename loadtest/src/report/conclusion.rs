//! The end of every run: its report goes where it was asked for, and its objectives decide.

use std::fmt::Display;

use anyhow::Result;
use serde::Serialize;

use crate::cli::OutputArgs;
use crate::objectives::{Bound, Objective, P99_LATENCY, all_met};
use crate::report::figures::figure;
use crate::report::machine::Machine;
use crate::report::page::{Illustrated, Page};
use crate::report::plot::Plot;
use crate::report::{html, sections, svg, write_json};

/// A report's line of JSON, with what it was held against and where it was made.
#[derive(Serialize)]
struct Line<'a, Report> {
    #[serde(flatten)]
    report: &'a Report,
    objectives: &'a [Objective],
    machine: &'a Machine,
}

/// Writes `report` as a line of JSON, a page and plots where `output` asks for them, prints it if its JSON does not
/// go to standard output, and says which objectives were missed; true if none was.
///
/// # Errors
/// If a file cannot be written.
pub fn conclude(
    output: &OutputArgs,
    report: &(impl Illustrated + Serialize + Display),
    objectives: impl IntoIterator<Item = Option<Objective>>,
) -> Result<bool> {
    let objectives: Vec<Objective> = objectives.into_iter().flatten().collect();
    let machine = Machine::here();
    match &output.json {
        Some(file) => write_json(file, &Line { report, objectives: &objectives, machine: &machine })?,
        None => print!("{report}"),
    }
    illustrate(output, || held_against(report.page(), &objectives), &machine)?;
    Ok(all_met(objectives.into_iter().map(Some)))
}

/// The page with its objectives; that of the p99 is a line in the plot of latencies, too.
fn held_against(mut page: Page, objectives: &[Objective]) -> Page {
    page.objectives = objectives.to_vec();
    let p99 = objectives.iter().find(|objective| objective.what == P99_LATENCY);
    let Some(Objective { bound: Bound::AtMost(ms), .. }) = p99 else { return page };
    for plot in page.sections.iter_mut().flat_map(|section| &mut section.plots) {
        if let Plot::Lines(plot) = plot
            && plot.title == sections::LATENCY_PLOT
        {
            plot.bounds.push((*ms, format!("objective of the p99: {} ms", figure(*ms))));
        }
    }
    page
}

/// Writes a page and plots where `output` asks for them.
///
/// # Errors
/// If a file cannot be written.
pub fn illustrate(output: &OutputArgs, page: impl FnOnce() -> Page, machine: &Machine) -> Result<()> {
    if output.report.is_none() && output.plots.is_none() {
        return Ok(());
    }
    let mut page = page();
    page.conditions.extend(machine.conditions());
    if let Some(file) = &output.report {
        html::write(file, &page)?;
    }
    if let Some(folder) = &output.plots {
        svg::write_all(folder, &page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::Section;
    use crate::report::plot::{Axis, LinePlot};

    #[test]
    fn the_objective_of_the_p99_is_a_line_in_the_plot_of_latencies_alone() {
        let plot = |title: &str| LinePlot::new(title, Axis::quantile("percentile"), Axis::log("ms"));
        let mut page = Page::new("t", "");
        let section = Section::new("Latency", "").plot(plot(sections::LATENCY_PLOT)).plot(plot("other"));
        page.sections.push(section);
        let objectives = [
            Objective::new("lost messages", "", Some(0.0), Some(0.0)),
            Objective::new(P99_LATENCY, " ms", Some(50.0), Some(12.0)),
        ];
        let page = held_against(page, &objectives.into_iter().flatten().collect::<Vec<_>>());
        let bounds = page.sections[0].plots.iter().map(|plot| match plot {
            Plot::Lines(plot) => plot.bounds.iter().map(|bound| bound.0).collect::<Vec<_>>(),
            Plot::Bars(_) => panic!("there are no bars"),
        });
        assert_eq!(bounds.collect::<Vec<_>>(), [vec![50.0], vec![]]);
        assert_eq!(page.objectives.len(), 2);
    }
}

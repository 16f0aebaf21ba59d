//! The board that findings are written on, run by run; in the end it is the report of the comparison.

use std::collections::BTreeSet;

use crate::cli::CompareArgs;
use crate::compare::finding::{self, Finding, Quantity};
use crate::compare::lineup::Peer;
use crate::compare::work::{Extent, Work};
use crate::report::comparison::{self, Better, ComparisonReport, Measure, PeerCell};

/// The targets of this project's node: on one core, at full size.
const TARGETS: [(Work, Quantity, f64); 9] = [
    (Work::Saturated, finding::DELIVERIES, 2_200_000.0),
    (Work::Saturated, finding::P99, 50.0),
    (Work::OneRoom, finding::USER_CPU, 0.45),
    (Work::Storm, finding::BACK, 1.0),
    (Work::Storm, finding::CPU_BACK, 100.0),
    (Work::Idle, finding::BYTES, 1536.0),
    (Work::Idle, finding::CPU_IDLE, 1.0),
    (Work::Idle, finding::MEMORY, 32.0 * 1024.0),
    (Work::IdleLarge, finding::BYTES, 1536.0),
];
/// Targets of this project's node against another server in the same run: how many times as much it may show at most, or
/// must at least where more is better. `None` stands for the server that shows least.
const RATIOS: [(Work, Quantity, Option<Peer>, f64); 4] = [
    (Work::Saturated, finding::DELIVERIES, Some(Peer::Node), 25.0),
    (Work::OneRoom, finding::CPU, Some(Peer::Floor), 1.0),
    (Work::ManyRooms, finding::CPU, Some(Peer::Floor), 1.1),
    (Work::ManyRooms, finding::P99, None, 1.0),
];
/// The size of [`Work::Storm`] and [`Work::Idle`] that the targets are for.
const TARGET_CROWD: u32 = 10_000;

/// What has been found so far.
pub(super) struct Board {
    report: ComparisonReport,
    works: Vec<Work>,
    has_targets: bool,
    limited: BTreeSet<String>,
    /// What must not be, in words.
    amiss: Vec<String>,
}

impl Board {
    /// An empty board for `works` of `extent`.
    pub(super) fn new(args: &CompareArgs, works: &[Work], extent: &Extent) -> Self {
        let sections = works.iter().map(|work| comparison::Work {
            name: work.title(extent),
            note: work.note(extent),
            measures: Vec::new(),
        });
        let report = ComparisonReport {
            scenario: "compare",
            lead: lead(args),
            ours: Peer::Realtime.name().to_owned(),
            references: vec![Peer::Floor.name().to_owned()],
            works: sections.collect(),
            ..ComparisonReport::default()
        };
        let has_targets = !args.short && args.cores.get() == 1 && args.connections.get() == TARGET_CROWD;
        Self { report, works: works.to_vec(), has_targets, limited: BTreeSet::new(), amiss: Vec::new() }
    }

    /// Notes a condition of the whole comparison.
    pub(super) fn note_condition(&mut self, name: &str, value: impl Into<String>) {
        self.report.conditions.push((name.to_owned(), value.into()));
    }

    /// Enters what `peer` showed in `work`.
    pub(super) fn enter(&mut self, peer: Peer, work: Work, finding: &Finding) {
        for &(quantity, value) in &finding.values {
            if let Some(values) = self.values(work, quantity, peer) {
                values.push(value);
            }
        }
        if finding.client_limited {
            self.limited.insert(format!("{} against {}", self.title(work), peer.name()));
        }
        for amiss in &finding.amiss {
            self.amiss.push(format!("{}, {}: {amiss}", peer.name(), self.title(work)));
        }
    }

    /// Enters that a run could not be made.
    pub(super) fn enter_failure(&mut self, peer: Peer, work: Work, error: &anyhow::Error) {
        self.amiss.push(format!("{}, {}: {error:#}", peer.name(), self.title(work)));
    }

    /// What went wrong in any run.
    pub(super) fn amiss(&self) -> &[String] {
        &self.amiss
    }

    /// The report.
    pub(super) fn into_report(self) -> ComparisonReport {
        let mut report = self.report;
        if self.has_targets {
            for (place, work) in self.works.iter().enumerate() {
                RATIOS.iter().filter(|(of, ..)| of == work).for_each(|&(_, quantity, peer, target)| {
                    let line = ratio_line(&report.works[place], quantity, peer, target);
                    report.works[place].note.extend(line);
                });
            }
        }
        let limited = self.limited.iter().map(|run| format!("Limited by the load tester: {run}."));
        report.warnings.extend(limited.chain(self.amiss.iter().map(|amiss| format!("Amiss: {amiss}."))));
        report
    }

    fn title(&self, work: Work) -> &str {
        let place = self.works.iter().position(|&known| known == work);
        place.map_or("", |place| &self.report.works[place].name)
    }

    /// The cell of `peer` for `quantity` of `work`; `None` if the work is not on the board.
    fn values(&mut self, work: Work, quantity: Quantity, peer: Peer) -> Option<&mut Vec<f64>> {
        let place = self.works.iter().position(|&known| known == work)?;
        let target =
            TARGETS.iter().find(|(of, what, _)| self.has_targets && (*of, *what) == (work, quantity));
        let measures = &mut self.report.works[place].measures;
        let place = measures.iter().position(|measure| measure.name == quantity.name).unwrap_or_else(|| {
            measures.push(Measure {
                name: quantity.name.to_owned(),
                unit: quantity.unit.to_owned(),
                better: quantity.better,
                target: target.map(|(_, _, target)| *target),
                is_drawn: quantity.is_drawn,
                peers: Vec::new(),
            });
            measures.len() - 1
        });
        let cells = &mut measures[place].peers;
        let place = cells.iter().position(|cell| cell.peer == peer.name()).unwrap_or_else(|| {
            cells.push(PeerCell { peer: peer.name().to_owned(), values: Vec::new() });
            cells.len() - 1
        });
        Some(&mut cells[place].values)
    }
}

/// The sentence on one target against another server; `None` if either has shown nothing.
fn ratio_line(
    work: &comparison::Work,
    quantity: Quantity,
    peer: Option<Peer>,
    target: f64,
) -> Option<String> {
    let measure = work.measures.iter().find(|measure| measure.name == quantity.name)?;
    let ours = Peer::Realtime.name();
    let is_other = |name: &&str| !name.starts_with(ours) && *name != Peer::Baseline.name();
    let others = measure.peers.iter().map(|cell| cell.peer.as_str()).filter(is_other);
    let least = || others.filter_map(|name| Some((measure.median_of(name)?, name)));
    let other = match peer {
        Some(peer) => peer.name(),
        None => least().min_by(|one, other| one.0.total_cmp(&other.0))?.1,
    };
    let ratio = measure.ratio(ours, other)?;
    let (side, is_held) = match quantity.better {
        Better::Higher => ("least", ratio >= target),
        Better::Lower => ("most", ratio <= target),
    };
    let held = if is_held { "held" } else { "missed" };
    Some(format!(" Target: {} at {side} {target} x {other}; it is {ratio:.2} x, {held}.", quantity.name))
}

/// How it is run, in a sentence.
fn lead(args: &CompareArgs) -> String {
    let counted = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (cores, rounds) = (counted(args.cores.get(), "core"), counted(args.rounds(), "round"));
    format!(
        "{cores} for each server, {rounds} in which the servers take turns; each cell is the median (lowest..highest)."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Scenario};
    use clap::Parser;

    fn board(line: &[&str]) -> Board {
        let Scenario::Compare(args) =
            Cli::parse_from([&["realtime-loadtest", "compare"], line].concat()).scenario
        else {
            panic!("asked for compare")
        };
        Board::new(&args, &[Work::Storm, Work::Idle], &Extent::new(&args))
    }

    fn finding(values: &[(Quantity, f64)], amiss: &[&str]) -> Finding {
        Finding {
            values: values.to_vec(),
            amiss: amiss.iter().map(|&text| text.to_owned()).collect(),
            client_limited: false,
            report: serde_json::Value::Null,
        }
    }

    #[test]
    fn values_of_all_rounds_meet_in_the_cell_of_their_server() {
        let mut board = board(&[]);
        board.enter(Peer::Realtime, Work::Idle, &finding(&[(finding::BYTES, 1.0)], &[]));
        board.enter(Peer::Floor, Work::Idle, &finding(&[(finding::BYTES, 5.0)], &[]));
        board.enter(
            Peer::Realtime,
            Work::Idle,
            &finding(&[(finding::BYTES, 2.0), (finding::MEMORY, 9.0)], &[]),
        );
        board.enter(Peer::Realtime, Work::OneRoom, &finding(&[(finding::CPU, 1.0)], &[]));
        let report = board.into_report();
        let idle = &report.works[1];
        assert_eq!(idle.measures.len(), 2);
        assert_eq!(idle.measures[0].peers[0].values, [1.0, 2.0]);
        assert_eq!(idle.measures[0].peers[1].values, [5.0]);
        assert_eq!(idle.measures[0].target, Some(1536.0));
    }

    #[test]
    fn targets_against_other_servers_name_them_and_the_ratio() {
        let cell = |peer: Peer, value| PeerCell { peer: peer.name().to_owned(), values: vec![value] };
        let measure = |quantity: Quantity, peers| Measure {
            name: quantity.name.to_owned(),
            unit: String::new(),
            better: quantity.better,
            target: None,
            is_drawn: true,
            peers,
        };
        let measures = vec![
            measure(finding::CPU, vec![cell(Peer::Realtime, 12.0), cell(Peer::Floor, 10.0)]),
            measure(
                finding::P99,
                vec![cell(Peer::Realtime, 1.0), cell(Peer::RealtimeEpoll, 0.1), cell(Peer::Node, 2.0)],
            ),
        ];
        let work = comparison::Work { name: String::new(), note: String::new(), measures };
        for (quantity, peer, expected) in [
            (
                finding::CPU,
                Some(Peer::Floor),
                Some(" Target: CPU per delivery at most 1.1 x floor; it is 1.20 x, missed."),
            ),
            (finding::P99, None, Some(" Target: latency p99 at most 1.1 x node; it is 0.50 x, held.")),
            (finding::DELIVERIES, Some(Peer::Node), None),
        ] {
            assert_eq!(ratio_line(&work, quantity, peer, 1.1).as_deref(), expected);
        }
    }

    #[test]
    fn targets_are_for_one_core_and_full_size() {
        for (line, has_targets) in [(&[][..], true), (&["--short"], false), (&["--cores", "2"], false)] {
            assert_eq!(board(line).has_targets, has_targets, "{line:?}");
        }
    }

    #[test]
    fn what_is_amiss_is_said_with_the_server_and_the_work() {
        let mut board = board(&["--short"]);
        board.enter(Peer::Node, Work::Storm, &finding(&[], &["1 lost"]));
        assert_eq!(board.amiss(), ["node, Storm, 300 connections: 1 lost"]);
        assert_eq!(board.into_report().warnings, ["Amiss: node, Storm, 300 connections: 1 lost."]);
    }
}

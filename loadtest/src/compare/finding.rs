//! What one server showed in one run of one work: numbers that can be compared, and what was wrong.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::report::comparison::Better;
use crate::report::saturate::SaturateReport;
use crate::report::storm::StormReport;
use crate::report::{Connections, FanoutReport, FanoutServer, IdleReport, Messages};

/// A kind of number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantity {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) is_drawn: bool,
}

const fn drawn(name: &'static str, unit: &'static str, better: Better) -> Quantity {
    Quantity { name, unit, better, is_drawn: true }
}

const fn listed(name: &'static str, unit: &'static str) -> Quantity {
    Quantity { name, unit, better: Better::Lower, is_drawn: false }
}

pub(super) const DELIVERIES: Quantity = drawn("deliveries", "/s", Better::Higher);
pub(super) const CPU: Quantity = drawn("CPU per delivery", "us", Better::Lower);
pub(super) const USER_CPU: Quantity = drawn("user CPU per delivery", "us", Better::Lower);
pub(super) const P50: Quantity = listed("latency p50", "ms");
pub(super) const P99: Quantity = drawn("latency p99", "ms", Better::Lower);
pub(super) const CORES: Quantity = listed("cores in use", "");
pub(super) const MEMORY: Quantity = listed("memory", "KiB");
pub(super) const BACK: Quantity = drawn("until all are back", "s", Better::Lower);
pub(super) const CPU_BACK: Quantity = drawn("CPU per connection", "us", Better::Lower);
pub(super) const BYTES: Quantity = drawn("memory per connection", "B", Better::Lower);
pub(super) const CPU_IDLE: Quantity = drawn("CPU per connection-second", "us", Better::Lower);
pub(super) const CPU_CONNECT: Quantity = listed("CPU per connect", "us");
pub(super) const AMISS: Quantity = listed("lost, doubled, out of order", "");
pub(super) const FAILED: Quantity = listed("connections failed", "");

/// The numbers of one run.
#[derive(Debug)]
pub(super) struct Finding {
    /// Each quantity with its value; one may come several times.
    pub(super) values: Vec<(Quantity, f64)>,
    /// What must not be, in words.
    pub(super) amiss: Vec<String>,
    /// Whether the numbers may be the tester's and not the server's.
    pub(super) client_limited: bool,
    /// The whole report of the run.
    pub(super) report: serde_json::Value,
}

impl Finding {
    /// Reads a run of `saturate`: the best step that held.
    ///
    /// # Errors
    /// If the report is not JSON, which cannot be.
    pub(super) fn of_saturation(report: SaturateReport) -> Result<Self> {
        let mut finding = Self::new(&report, report.tester.client_limited)?;
        let Some(step) = report.best() else {
            finding.note_connections(&report.connections);
            let reason = report.steps.first().and_then(|step| step.broken_by.clone());
            finding.amiss.push(format!("not even the first step held: {}", reason.unwrap_or_default()));
            return Ok(finding);
        };
        finding.client_limited |= step.client_limited();
        finding.values.push((DELIVERIES, step.deliveries_per_s));
        finding.note_cost(step.server);
        finding.values.extend([(P50, step.latency.p50_ms), (P99, step.latency.p99_ms)]);
        finding.note_messages(&step.messages);
        finding.note_connections(&report.connections);
        Ok(finding)
    }

    /// Reads a run of `fanout`.
    ///
    /// # Errors
    /// If the report is not JSON, which cannot be.
    pub(super) fn of_fanout(report: FanoutReport) -> Result<Self> {
        let mut finding = Self::new(&report, report.tester.client_limited)?;
        finding.note_cost(report.server);
        finding.values.extend([(P50, report.latency.p50_ms), (P99, report.latency.p99_ms)]);
        finding.note_messages(&report.messages);
        finding.note_connections(&report.connections);
        Ok(finding)
    }

    /// Reads a run of `storm`: each of its rounds is a value.
    ///
    /// # Errors
    /// If the report is not JSON, which cannot be.
    pub(super) fn of_storm(report: StormReport) -> Result<Self> {
        let mut finding = Self::new(&report, report.tester.client_limited)?;
        for round in &report.rounds {
            finding.values.push((BACK, round.seconds));
            let server = round.server.iter();
            finding.values.extend(server.clone().map(|server| (CPU_BACK, server.cpu_us_per_connection)));
            finding.values.extend(server.map(|server| (MEMORY, server.usage.rss_peak_kib as f64)));
        }
        finding.note_failures(report.failed());
        Ok(finding)
    }

    /// Reads a run of `idle`.
    ///
    /// # Errors
    /// If the report is not JSON, which cannot be.
    pub(super) fn of_idle(report: IdleReport) -> Result<Self> {
        let mut finding = Self::new(&report, report.tester.client_limited)?;
        if let Some(server) = report.server {
            finding.values.extend([
                (BYTES, server.bytes_per_connection),
                (MEMORY, server.hold.rss_kib as f64),
                (CPU_IDLE, server.idle_cpu_us_per_s),
                (CPU_CONNECT, server.connect_cpu_us),
            ]);
        }
        finding.note_connections(&report.connections);
        Ok(finding)
    }

    fn new(report: &impl Serialize, client_limited: bool) -> Result<Self> {
        let report = serde_json::to_value(report).context("a report is plain numbers and text")?;
        Ok(Self { values: Vec::new(), amiss: Vec::new(), client_limited, report })
    }

    fn note_cost(&mut self, server: Option<FanoutServer>) {
        let Some(server) = server else { return };
        self.values.extend([
            (CPU, server.cpu_us_per_delivery),
            (USER_CPU, server.user_us_per_delivery),
            (CORES, server.usage.cores()),
            (MEMORY, server.usage.rss_peak_kib as f64),
        ]);
    }

    fn note_connections(&mut self, connections: &Connections) {
        self.note_failures(connections.failed + connections.dropped);
    }

    fn note_failures(&mut self, failed: u64) {
        self.values.push((FAILED, failed as f64));
        if failed > 0 {
            self.amiss.push(format!("{failed} connections failed or were lost"));
        }
    }

    fn note_messages(&mut self, messages: &Messages) {
        let Messages { lost, unsent, doubled, reordered, misrouted, .. } = messages;
        let amiss = lost + unsent + doubled + reordered + misrouted;
        self.values.push((AMISS, amiss as f64));
        if amiss > 0 {
            self.amiss.push(format!(
                "{lost} lost, {unsent} unsent, {doubled} doubled, {reordered} reordered, {misrouted} misrouted"
            ));
        }
    }
}

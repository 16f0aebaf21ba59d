//! What a page promises: every number, nothing from elsewhere, and markup that any reader can follow.

use serde_json::Value;

use super::render;
use crate::latency::{Curve, Latency, Percentiles};
use crate::objectives::Objective;
use crate::report::figures::figure;
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::plot::{Axis, Bar, BarPlot, LinePlot, Shape};
use crate::report::{Connections, FanoutReport, FanoutServer, Messages, Tester, svg};
use crate::sampling::Usage;
use crate::sampling::series::{Phase, ProcessSeries, Series};

/// Numbers that are all different, so that one cannot stand for another.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 137;
        self.0
    }

    fn fraction(&mut self) -> f64 {
        self.next() as f64 / 8.0
    }

    fn percentiles(&mut self) -> Percentiles {
        Percentiles {
            count: self.next(),
            mean_ms: self.fraction(),
            p50_ms: self.fraction(),
            p90_ms: self.fraction(),
            p99_ms: self.fraction(),
            p999_ms: self.fraction(),
            max_ms: self.fraction(),
        }
    }

    fn usage(&mut self) -> Usage {
        Usage {
            user_s: self.fraction(),
            system_s: self.fraction(),
            rss_kib: self.next(),
            rss_peak_kib: self.next(),
            seconds: 10.0,
            is_saturated: true,
            ..Usage::default()
        }
    }

    fn messages(&mut self) -> Messages {
        Messages {
            sent: self.next(),
            unsent: self.next(),
            expected: self.next(),
            delivered: self.next(),
            lost: self.next(),
            members_with_loss: self.next(),
            doubled: self.next(),
            reordered: self.next(),
            misrouted: self.next(),
        }
    }

    fn series(&mut self) -> Series {
        let process = |numbers: &mut Self| ProcessSeries {
            user_cores: vec![numbers.fraction(), numbers.fraction()],
            system_cores: vec![0.0, numbers.fraction()],
            busiest_thread: vec![numbers.fraction(), 0.5],
            rss_kib: vec![numbers.next(), numbers.next()],
            threads: vec![2, 3],
        };
        Series {
            interval_ms: self.next(),
            at_s: vec![0.25, 0.5],
            phases: vec![Phase { at_s: 0.1, name: "sending <now>" }],
            deliveries_per_s: vec![self.fraction(), self.fraction()],
            open: vec![self.next(), self.next()],
            server: Some(process(self)),
            tester: process(self),
        }
    }
}

fn curve() -> Curve {
    let mut latency = Latency::default();
    (1..=5000).for_each(|micros| latency.record(micros * 1000));
    latency.curve()
}

fn report() -> FanoutReport {
    let mut numbers = Numbers(1000);
    FanoutReport {
        scenario: "fanout",
        url: "ws://<host>&\"co\"".to_owned(),
        connections: Connections {
            wanted: numbers.next(),
            ready: numbers.next(),
            failed: numbers.next(),
            dropped: numbers.next(),
            ramp_s: numbers.fraction(),
            connect: numbers.percentiles(),
            connect_curve: curve(),
            failures: [("no </table> today".to_owned(), numbers.next())].into(),
            drops: [("went & gone".to_owned(), numbers.next())].into(),
        },
        rooms: numbers.next() as u32,
        members: numbers.next() as u32,
        rate_per_s: numbers.fraction(),
        payload_bytes: 128,
        seconds: numbers.fraction(),
        messages: numbers.messages(),
        deliveries_per_s: numbers.fraction(),
        latency: numbers.percentiles(),
        latency_curve: curve(),
        ack: numbers.percentiles(),
        ack_curve: curve(),
        lateness: numbers.percentiles(),
        lateness_curve: curve(),
        refusals: [("RATE_LIMIT_EXCEEDED".to_owned(), numbers.next())].into(),
        server: Some(FanoutServer {
            cpu_us_per_delivery: numbers.fraction(),
            user_us_per_delivery: numbers.fraction(),
            system_us_per_delivery: numbers.fraction(),
            usage: numbers.usage(),
        }),
        tester: Tester {
            threads: 3,
            busiest_thread: 0.97,
            hungriest_thread: 0.99,
            client_limited: true,
            is_late: true,
            bytes_per_connection: numbers.fraction(),
        },
        series: numbers.series(),
    }
}

/// The page of a report, and one section with everything that no report of one run has.
fn page() -> Page {
    let mut page = report().page();
    page.objectives.extend(Objective::new("p99 <latency>", " ms", Some(50.25), Some(61.5)));
    page.objectives.extend(Objective::at_least("deliveries", "/s", Some(1234.0), None));
    page.conditions.push(("a & b".to_owned(), "<c>".to_owned()));
    let bar = |name: &str, median| Bar {
        name: name.to_owned(),
        lowest: median / 2.0,
        median,
        highest: median * 2.0,
        is_ours: name == "ours",
    };
    let bars = BarPlot {
        title: "bars <of> \"all\" & more".to_owned(),
        axis: Axis::log("1/s"),
        bars: vec![bar("ours", 4321.0), bar("<others>", 12.5)],
        bounds: vec![(5000.0, "target".to_owned())],
    };
    let empty =
        LinePlot::new("nothing", Axis::linear("s"), Axis::log("ms")).line("x", Shape::Area, Vec::new());
    page.sections
        .push(Section::new("<Rest>", "a & b").plot(bars).plot(empty).table(Table::new("none", [""])));
    page
}

/// All numbers in `value`, but those of the series and of the curves, which are drawn.
fn numbers(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Number(number) => found.extend(number.as_f64()),
        Value::Array(values) => values.iter().for_each(|value| numbers(value, found)),
        Value::Object(fields) => {
            let is_drawn = |name: &str| name.ends_with("curve") || name == "series";
            let told = fields.iter().filter(|(name, _)| !is_drawn(name));
            told.for_each(|(_, value)| numbers(value, found));
        }
        _ => {}
    }
}

#[test]
fn a_page_has_every_number_of_its_report() {
    let html = render(&page());
    let mut wanted = Vec::new();
    numbers(&serde_json::to_value(report()).unwrap(), &mut wanted);
    assert!(wanted.len() > 50, "{wanted:?}");
    for number in wanted.into_iter().filter(|number| *number > 100.0) {
        assert!(html.contains(&figure(number)), "{number} is not on the page");
    }
    for text in ["97 %", "99 %", "61.5 ms", "at most 50.2 ms", "at least 1,234/s", "4,321", "12.5"] {
        assert!(html.contains(text), "{text} is not on the page");
    }
}

#[test]
fn every_plot_has_its_numbers_in_a_table_too() {
    let (html, series) = (render(&page()), report().series);
    let server = series.server.unwrap();
    for number in [series.deliveries_per_s, server.user_cores, series.tester.busiest_thread].concat() {
        assert!(html.contains(&figure(number)), "{number} is in no table");
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let html = render(&page());
    for reference in ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<img", "http"] {
        assert!(!html.contains(reference), "{reference}");
    }
}

#[test]
fn tags_are_balanced_whatever_the_texts_are() {
    check_balanced(&render(&page()), &["!doctype", "meta"]);
    for plot in page().sections.iter().flat_map(|section| &section.plots) {
        let text = svg::standalone("a <subject> & more", plot);
        check_balanced(&text, &[]);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.contains("a &lt;subject&gt; &amp; more"));
    }
}

#[test]
fn what_limited_the_run_is_said_before_its_numbers() {
    let html = render(&page());
    let (warning, table) = (html.find("Limited by the load tester").unwrap(), html.find("<table").unwrap());
    assert!(warning < table);
    assert!(html.contains("The server&#39;s cores were all busy"));
    assert!(html.contains("✗ 2 of 2 objectives missed"));
}

/// Checks that every tag is closed in the order in which it was opened; those named in `void` have no end.
fn check_balanced(text: &str, void: &[&str]) {
    let mut open: Vec<&str> = Vec::new();
    for tag in text.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a < that is text is escaped");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "closed out of order"),
            _ if tag.ends_with('/') || void.contains(&name) => {}
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
}

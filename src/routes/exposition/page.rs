//! The text under construction: families, each with its help and type once, and their samples.

use std::fmt::{Display, Write};

use core_shards::metrics::{Histogram, Scale};

/// What a scrape of a few cores has, so that the text is not moved while it grows.
const USUAL_BYTES: usize = 48 * 1024;

/// A metric's type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// It rises.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// The text.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
}

impl Default for Page {
    fn default() -> Self {
        Self { text: String::with_capacity(USUAL_BYTES) }
    }
}

impl Page {
    /// All of it.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// One number that rises and falls.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Type::Gauge, help).sample(&[], value);
    }

    /// One number that rises.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Type::Counter, help).sample(&[], value);
    }

    /// A number for each value of one label.
    pub(super) fn by<'a, V: Display>(
        &mut self,
        label: &str,
        (name, kind, help): (&str, Type, &str),
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        let mut family = self.family(name, kind, help);
        for (value_of_label, value) in values {
            family.sample(&[(label, value_of_label)], value);
        }
    }

    /// Begins a family.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Type, help: &str) -> Family<'a> {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name }
    }

    /// Begins a family of histograms, whose bounds and sums are divided by `unit`.
    pub(super) fn histograms<'a>(&'a mut self, name: &'a str, help: &str, unit: f64) -> Histograms<'a> {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        Histograms { text: &mut self.text, name, unit }
    }
}

/// A family of counters or gauges.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Family<'_> {
    /// One sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        push_labels(self.text, labels, None);
        let _ = writeln!(self.text, " {value}");
    }
}

/// A family of histograms.
#[derive(Debug)]
pub(super) struct Histograms<'a> {
    text: &'a mut String,
    name: &'a str,
    unit: f64,
}

impl Histograms<'_> {
    /// The sum of several cores' histograms.
    pub(super) fn sum<'h, S: Scale + 'h>(
        &mut self,
        labels: &[(&str, &str)],
        parts: impl IntoIterator<Item = &'h Histogram<S>>,
    ) {
        let Self { text, name, unit } = self;
        let mut counts = vec![0_u64; S::BOUNDS.len() + 1];
        let mut sum = 0_u64;
        for part in parts {
            counts.iter_mut().zip(part.counts()).for_each(|(total, count)| *total += count);
            sum = sum.wrapping_add(part.sum());
        }
        let mut cumulated = 0;
        for (place, count) in counts.into_iter().enumerate() {
            cumulated += count;
            let bound = S::BOUNDS.get(place).map(|bound| (*bound as f64 / *unit).to_string());
            let _ = write!(text, "{name}_bucket");
            push_labels(text, labels, Some(bound.as_deref().unwrap_or("+Inf")));
            let _ = writeln!(text, " {cumulated}");
        }
        let _ = write!(text, "{name}_sum");
        push_labels(text, labels, None);
        let _ = write!(text, " {}\n{name}_count", sum as f64 / *unit);
        push_labels(text, labels, None);
        let _ = writeln!(text, " {cumulated}");
    }
}

fn push_labels(text: &mut String, labels: &[(&str, &str)], bound: Option<&str>) {
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let mut opening = '{';
    for (label, value) in all {
        let _ = write!(text, "{opening}{label}=\"{value}\"");
        opening = ',';
    }
    if opening == ',' {
        text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use core_shards::metrics::Microseconds;

    use super::*;

    #[test]
    fn a_family_says_what_it_is_once() {
        let mut page = Page::default();
        page.gauge("plain", "A number.", 7);
        page.by("kind", ("labelled", Type::Counter, "Two numbers."), [("one", 1), ("other", 2)]);
        let expected = "# HELP plain A number.\n# TYPE plain gauge\nplain 7\n\
             # HELP labelled Two numbers.\n# TYPE labelled counter\n\
             labelled{kind=\"one\"} 1\nlabelled{kind=\"other\"} 2\n";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn histograms_of_cores_are_added_up_and_cumulated() {
        let (one, other) = (Histogram::<Microseconds>::default(), Histogram::<Microseconds>::default());
        one.observe(50);
        other.observe(60);
        other.observe(6_000_000);
        let mut page = Page::default();
        page.histograms("time_seconds", "Time.", 1e6).sum(&[("path", "x")], [&one, &other]);
        let text = page.into_text();
        for line in [
            "# TYPE time_seconds histogram",
            r#"time_seconds_bucket{path="x",le="0.00005"} 1"#,
            r#"time_seconds_bucket{path="x",le="0.0001"} 2"#,
            r#"time_seconds_bucket{path="x",le="5"} 2"#,
            r#"time_seconds_bucket{path="x",le="+Inf"} 3"#,
            r#"time_seconds_sum{path="x"} 6.00011"#,
            r#"time_seconds_count{path="x"} 3"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
        }
    }
}

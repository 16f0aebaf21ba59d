//! A scrape, read as strictly as the text format can be.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of one scrape, by name and labels as they were written.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

/// A sample under construction.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

impl Scrape {
    /// Reads the text; panics with the line that breaks a rule.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut scrape = Self::default();
        let (mut helped, mut family) = (None, String::new());
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# HELP ") {
                let (name, help) = comment.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(!help.is_empty() && !scrape.types.contains_key(name), "{line}");
                helped = Some(name);
            } else if let Some(comment) = line.strip_prefix("# TYPE ") {
                let (name, kind) = comment.split_once(' ').unwrap();
                assert_eq!(helped.take(), Some(name), "a family says what it is before its type: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind) && is_name(name), "{line}");
                // The one gauge that the specification calls a total.
                let is_total = name.ends_with("_total") && name != "realtime_connections_total";
                assert_eq!(is_total, kind == "counter", "{line}");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                family = name.to_owned();
            } else {
                scrape.take(&family, line);
            }
        }
        scrape.check_histograms();
        scrape
    }

    /// The value of one sample.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// How much a sample has grown since an earlier scrape, in which it may not have been.
    #[track_caller]
    pub(crate) fn growth(&self, before: &Self, series: &str) -> f64 {
        self.value(series) - before.samples.get(series).copied().unwrap_or(0.0)
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let is_its = |series: &str| series.split('{').next() == Some(name);
        self.samples.iter().filter(|(series, _)| is_its(series)).map(|(_, value)| value).sum()
    }

    /// How many samples there are.
    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    /// The names of all families.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    fn take(&mut self, family: &str, line: &str) {
        let sample = read_sample(line);
        let is_histogram = self.types.get(family).is_some_and(|kind| kind == "histogram");
        let suffix = sample.name.strip_prefix(family).unwrap_or_else(|| panic!("not of {family}: {line}"));
        match is_histogram {
            true => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            false => assert_eq!(suffix, "", "{line}"),
        }
        assert_eq!(suffix == "_bucket", sample.labels.iter().any(|(label, _)| *label == "le"), "{line}");
        // A gauge that went below zero would be near 2^64.
        assert!(sample.value.is_finite() && (0.0..1e15).contains(&sample.value), "{line}");
        let labels: BTreeSet<_> = sample.labels.iter().map(|(label, _)| label).collect();
        assert_eq!(labels.len(), sample.labels.len(), "a label twice: {line}");
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(self.samples.insert(series.to_owned(), sample.value).is_none(), "a series twice: {line}");
    }

    /// Buckets are cumulative, and the last of them holds everything that was counted.
    fn check_histograms(&self) {
        for name in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for (text, value) in &self.samples {
                let line = format!("{text} {value}");
                let sample = read_sample(&line);
                if sample.name != format!("{name}_bucket") {
                    continue;
                }
                let (bounds, labels): (Vec<_>, Vec<_>) =
                    sample.labels.into_iter().partition(|(label, _)| *label == "le");
                let bound = if bounds[0].1 == "+Inf" { f64::INFINITY } else { bounds[0].1.parse().unwrap() };
                series.entry(written(&labels)).or_default().push((bound, *value));
            }
            assert!(!series.is_empty(), "{name} has no buckets");
            for (labels, mut buckets) in series {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}{labels}: {buckets:?}");
                let (last_bound, last) = buckets[buckets.len() - 1];
                assert_eq!((last_bound, last), (f64::INFINITY, self.value(&format!("{name}_count{labels}"))));
                let sum = self.value(&format!("{name}_sum{labels}"));
                assert!(last > 0.0 || sum == 0.0, "{name}{labels} adds up to {sum} of nothing");
            }
        }
    }
}

fn written(labels: &[(&str, &str)]) -> String {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn read_sample(line: &str) -> Sample<'_> {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("unclosed: {line}"))),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    let labels = labels.split_terminator("\",").map(|label| {
        let (label, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        let value = value.strip_suffix('"').unwrap_or(value);
        assert!(is_name(label) && !label.contains(':'), "{line}");
        assert!(!value.is_empty() && !value.contains(['"', '\\', '{', '}']), "{line}");
        (label, value)
    });
    Sample { name, labels: labels.collect(), value: value.parse().unwrap_or_else(|_| panic!("{line}")) }
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter == ':';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

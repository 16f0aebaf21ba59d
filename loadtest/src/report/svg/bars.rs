//! Draws horizontal bars with whiskers, each with its name and its number.

use crate::report::figures::figure;
use crate::report::plot::{Bar, BarPlot};
use crate::report::svg::axis::Ruler;
use crate::report::svg::pen::Pen;
use crate::report::svg::{Drawing, WIDTH};

const ROW_HEIGHT: f64 = 34.0;
const BAR_HEIGHT: f64 = 18.0;
const TOP: f64 = 24.0;
/// Right of the bars: their numbers.
const NUMBERS_WIDTH: f64 = 82.0;
/// Below the bars: the ticks' texts and the axis' words.
const FOOT_HEIGHT: f64 = 46.0;
/// How wide a letter of a name is about.
const LETTER_WIDTH: f64 = 7.8;
/// How wide names may be.
const NAMES_WIDTH_MAX: f64 = 190.0;

/// Draws `plot`.
pub(super) fn draw(plot: &BarPlot) -> Drawing {
    let bars: Vec<&Bar> = plot.bars.iter().filter(|bar| bar.median.is_finite()).collect();
    let letters = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
    let left = (24.0 + letters as f64 * LETTER_WIDTH).min(NAMES_WIDTH_MAX);
    let right = WIDTH - NUMBERS_WIDTH;
    let bottom = TOP + bars.len() as f64 * ROW_HEIGHT + 4.0;

    let bounds = plot.bounds.iter().map(|bound| bound.0);
    let ends = bars.iter().flat_map(|bar| [bar.lowest, bar.median, bar.highest]).chain(bounds);
    let x = Ruler::over(plot.axis.scale, ends, left, right);

    let mut pen = Pen::default();
    for (value, text) in x.ticks() {
        let at = x.place(value);
        pen.line("grid", (at, TOP), (at, bottom));
        pen.text("tick", "middle", at, bottom + 18.0, &text);
    }
    pen.line("axis", (left, TOP), (left, bottom));
    for (index, bar) in bars.iter().enumerate() {
        draw_bar(&mut pen, bar, &x, TOP + index as f64 * ROW_HEIGHT + ROW_HEIGHT / 2.0);
    }
    for (value, meaning) in &plot.bounds {
        let at = x.place(*value);
        pen.line("bound", (at, TOP - 4.0), (at, bottom));
        pen.text("bound-name", "middle", at, TOP - 7.0, &format!("{meaning} {}", figure(*value)));
    }
    pen.text("label", "middle", f64::midpoint(left, right), bottom + 38.0, &plot.axis.label);
    Drawing { height: bottom + FOOT_HEIGHT, body: pen.into_svg() }
}

fn draw_bar(pen: &mut Pen, bar: &Bar, x: &Ruler, middle: f64) {
    let Bar { name, lowest, median, highest, is_ours } = bar;
    let (begin, end) = (x.begin(), x.place(*median));
    let hint = format!("{name}: {} ({}..{})", figure(*median), figure(*lowest), figure(*highest));
    let (colour, weight) = if *is_ours { ("bar ours", "name strong") } else { ("bar", "name") };
    // A value of 0 has a bar too, so that it is not taken for a missing one.
    let size = ((end - begin).max(1.5), BAR_HEIGHT);
    pen.bar(colour, (begin, middle - BAR_HEIGHT / 2.0), size, &hint);
    let (from, to) = (x.place(*lowest), x.place(*highest));
    if to - from > 1.0 {
        pen.line("whisker", (from, middle), (to, middle));
        pen.line("whisker", (from, middle - 5.0), (from, middle + 5.0));
        pen.line("whisker", (to, middle - 5.0), (to, middle + 5.0));
    }
    pen.text(weight, "end", begin - 8.0, middle + 4.5, name);
    pen.text("number", "start", to.max(end) + 8.0, middle + 4.5, &figure(*median));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::Axis;

    fn bar(name: &str, median: f64) -> Bar {
        Bar {
            name: name.to_owned(),
            lowest: median / 2.0,
            median,
            highest: median * 2.0,
            is_ours: name == "ours",
        }
    }

    #[test]
    fn every_server_has_its_bar_its_name_and_its_number() {
        for axis in [Axis::linear("1/s"), Axis::log("1/s")] {
            let bars =
                vec![bar("ours", 1234.0), bar("other", 12.5), bar("broken", f64::NAN), bar("zero", 0.0)];
            let body =
                draw(&BarPlot { title: "t".into(), axis, bars, bounds: vec![(2000.0, "target".into())] })
                    .body;
            assert_eq!(body.matches("<rect").count(), 3);
            for text in [">ours<", ">1,234<", ">other<", ">12.5<", ">zero<", ">target 2,000<"] {
                assert!(body.contains(text), "{text} is not in {body}");
            }
            assert!(!body.contains("NaN") && !body.contains("inf"), "{body}");
        }
    }

    #[test]
    fn a_plot_without_bars_is_empty_and_whole() {
        let plot = BarPlot { title: "t".into(), axis: Axis::log("x"), bars: Vec::new(), bounds: Vec::new() };
        assert!(draw(&plot).height > 0.0);
    }
}

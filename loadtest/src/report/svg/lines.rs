//! Draws lines over two axes, with a legend, bounds and marks.

use crate::report::figures::figure;
use crate::report::plot::{Axis, Line, LinePlot, Scale, Shape};
use crate::report::svg::axis::{Ruler, percent};
use crate::report::svg::pen::Pen;
use crate::report::svg::{Drawing, WIDTH};

const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 18.0;
const PLOT_HEIGHT: f64 = 236.0;
const ROW_HEIGHT: f64 = 22.0;
/// Below the plot: the ticks' texts and the axis' words.
const FOOT_HEIGHT: f64 = 46.0;
/// How wide a letter is about, for the legend's rows.
const LETTER_WIDTH: f64 = 7.6;
/// How many lines have a colour of their own; further ones begin again.
const COLOURS: usize = 6;

/// Draws `plot`.
pub(super) fn draw(plot: &LinePlot) -> Drawing {
    let lines: Vec<&Line> =
        plot.lines.iter().filter(|line| line.points.iter().any(|point| is_finite(&point))).collect();
    let mut pen = Pen::default();
    let legend_height = legend(&mut pen, &lines);
    let top = legend_height + ROW_HEIGHT + 8.0;
    let bottom = top + PLOT_HEIGHT;

    let points = || lines.iter().flat_map(|line| &line.points).filter(is_finite);
    let x = Ruler::within(plot.x.scale, points().map(|point| point.0), LEFT, RIGHT);
    let bounds = plot.bounds.iter().map(|bound| bound.0);
    let y = Ruler::over(plot.y.scale, points().map(|point| point.1).chain(bounds), bottom, top);

    pen.text("label", "start", 12.0, legend_height + 16.0, &plot.y.label);
    axes(&mut pen, &plot.x, &x, &y, (top, bottom));
    marks(&mut pen, &plot.marks, &x, (top, bottom));
    for (index, line) in lines.iter().enumerate() {
        draw_line(&mut pen, line, index % COLOURS, &x, &y, plot.x.scale);
    }
    for (value, meaning) in &plot.bounds {
        let at = y.place(*value);
        pen.line("bound", (LEFT, at), (RIGHT, at));
        // At the upper edge it would stand in the axis' words.
        let baseline = if at < top + ROW_HEIGHT { at + 15.0 } else { at - 5.0 };
        pen.text("bound-name mark-name", "start", LEFT + 6.0, baseline, meaning);
    }
    Drawing { height: bottom + FOOT_HEIGHT, body: pen.into_svg() }
}

fn is_finite(point: &&(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// The names of the lines in rows, if there is more than one; returns how high the rows are.
fn legend(pen: &mut Pen, lines: &[&Line]) -> f64 {
    if lines.len() < 2 {
        return 0.0;
    }
    let (mut left, mut row) = (12.0, 1.0);
    for (index, line) in lines.iter().enumerate() {
        let width = 30.0 + line.name.chars().count() as f64 * LETTER_WIDTH;
        if left > 12.0 && left + width > RIGHT {
            (left, row) = (12.0, row + 1.0);
        }
        let middle = row * ROW_HEIGHT - 8.0;
        pen.line(&format!("line s{}", index % COLOURS), (left, middle), (left + 16.0, middle));
        pen.text("name", "start", left + 22.0, middle + 4.5, &line.name);
        left += width + 8.0;
    }
    row * ROW_HEIGHT
}

fn axes(pen: &mut Pen, axis: &Axis, x: &Ruler, y: &Ruler, (top, bottom): (f64, f64)) {
    for (value, text) in y.ticks() {
        let at = y.place(value);
        pen.line("grid", (LEFT, at), (RIGHT, at));
        pen.text("tick", "end", LEFT - 8.0, at + 4.0, &text);
    }
    let mut taken_to = f64::NEG_INFINITY;
    for (value, text) in x.ticks() {
        let at = x.place(value);
        pen.line("grid", (at, top), (at, bottom));
        let width = text.chars().count() as f64 * LETTER_WIDTH;
        if at - width / 2.0 < taken_to {
            continue;
        }
        taken_to = at + width / 2.0;
        // A text below the last tick would leave the picture if its middle stood there.
        let anchor = if at > RIGHT - 20.0 { "end" } else { "middle" };
        pen.text("tick", anchor, if anchor == "end" { RIGHT + 10.0 } else { at }, bottom + 18.0, &text);
    }
    pen.line("axis", (LEFT, bottom), (RIGHT, bottom));
    pen.text("label", "middle", f64::midpoint(LEFT, RIGHT), bottom + 38.0, &axis.label);
}

/// Where something begins; the names of those that are near to each other stand below each other.
fn marks(pen: &mut Pen, marks: &[(f64, String)], x: &Ruler, (top, bottom): (f64, f64)) {
    let (mut taken_to, mut row) = (f64::NEG_INFINITY, 0.0);
    for (value, name) in marks {
        let at = x.place(*value);
        row = if at < taken_to { row + 1.0 } else { 0.0 };
        pen.line("mark", (at, top), (at, bottom));
        pen.text("tick mark-name", "start", at + 4.0, top + 12.0 + row * 15.0, name);
        taken_to = at + 12.0 + name.chars().count() as f64 * LETTER_WIDTH;
    }
}

fn draw_line(pen: &mut Pen, line: &Line, colour: usize, x: &Ruler, y: &Ruler, scale: Scale) {
    let finite: Vec<(f64, f64)> = line.points.iter().filter(is_finite).copied().collect();
    let placed: Vec<(f64, f64)> = finite.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
    if line.shape == Shape::Area {
        pen.area(&format!("area f{colour}"), &placed, y.begin());
    }
    pen.path(&format!("line s{colour}"), &placed);
    // A single point has no length to be seen by.
    if line.shape != Shape::Dotted && placed.len() > 1 {
        return;
    }
    for (at, (from, value)) in placed.iter().zip(&finite) {
        let from = if scale == Scale::Quantile { percent(*from) } else { figure(*from) };
        pen.dot(&format!("dot f{colour}"), *at, &format!("{}: {} at {from}", line.name, figure(*value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_points_are_left_out_and_broken_points_too() {
        let plot = LinePlot::new("t", Axis::linear("s"), Axis::log("ms"))
            .line("whole", Shape::Dotted, vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)])
            .line("empty", Shape::Straight, Vec::new());
        let body = draw(&plot).body;
        assert_eq!(body.matches("<path").count(), 1);
        assert_eq!(body.matches("<circle").count(), 2);
        assert!(!body.contains("NaN") && !body.contains("inf"), "{body}");
    }

    #[test]
    fn many_names_take_several_rows() {
        let line =
            |name: &str| Line { name: name.to_owned(), points: vec![(0.0, 1.0)], shape: Shape::Straight };
        let lines: Vec<Line> = (0..8).map(|index| line(&format!("a rather long name {index}"))).collect();
        let lines: Vec<&Line> = lines.iter().collect();
        assert_eq!(legend(&mut Pen::default(), &lines[..1]), 0.0);
        assert_eq!(legend(&mut Pen::default(), &lines[..2]), ROW_HEIGHT);
        assert!(legend(&mut Pen::default(), &lines) > ROW_HEIGHT);
    }
}

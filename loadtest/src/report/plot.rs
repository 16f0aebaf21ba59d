//! Plots as values: what is drawn against what. How they look is the `svg` module's business.

/// One plot.
#[derive(Clone, Debug)]
pub enum Plot {
    /// Lines over an axis of numbers.
    Lines(LinePlot),
    /// Bars in groups, with whiskers.
    Bars(BarPlot),
}

/// Lines over an axis of numbers.
#[derive(Clone, Debug)]
pub struct LinePlot {
    /// What the plot shows; also names its file.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines; those without points are left out.
    pub lines: Vec<Line>,
    /// Horizontal bounds, each with what it means.
    pub bounds: Vec<(f64, String)>,
    /// Places on the horizontal axis where something begins, each with what it is.
    pub marks: Vec<(f64, String)>,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in the order of `x`; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether it goes up and down in steps, marks its points, or is filled down to the axis.
    pub shape: Shape,
}

/// How a line goes from point to point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Straight.
    #[default]
    Straight,
    /// Straight, and filled down to the axis.
    Area,
    /// Straight, with a dot at each point.
    Dotted,
}

/// An axis: its words and how values lie on it.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is counted, with its unit, such as `latency, ms`.
    pub label: String,
    /// How values lie on it.
    pub scale: Scale,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// Each power of ten as long as the next; only for values above 0.
    Log,
    /// For quantiles from 0 to 1: 0.9, 0.99 and 0.999 at even distances, as tails are looked at.
    Quantile,
}

/// Bars in groups.
#[derive(Clone, Debug)]
pub struct BarPlot {
    /// What the plot shows; also names its file.
    pub title: String,
    /// The axis of the bars' length.
    pub axis: Axis,
    /// The bars, from top to bottom; those whose median is not finite are left out.
    pub bars: Vec<Bar>,
    /// Bounds, each with what it means.
    pub bounds: Vec<(f64, String)>,
}

/// One bar with its whiskers.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Whose bar it is.
    pub name: String,
    /// The lowest value, where the whisker begins.
    pub lowest: f64,
    /// The middle value: the bar's length.
    pub median: f64,
    /// The highest value, where the whisker ends.
    pub highest: f64,
    /// Whether it is the one that the plot is about.
    pub is_ours: bool,
}

impl Plot {
    /// What it shows.
    pub fn title(&self) -> &str {
        match self {
            Self::Lines(plot) => &plot.title,
            Self::Bars(plot) => &plot.title,
        }
    }
}

impl LinePlot {
    /// A plot without lines yet.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, lines: Vec::new(), bounds: Vec::new(), marks: Vec::new() }
    }

    /// The same plot with one more line.
    pub fn line(mut self, name: impl Into<String>, shape: Shape, points: Vec<(f64, f64)>) -> Self {
        self.lines.push(Line { name: name.into(), points, shape });
        self
    }

    /// The same plot with one more bound.
    pub fn bound(mut self, value: f64, meaning: impl Into<String>) -> Self {
        self.bounds.push((value, meaning.into()));
        self
    }
}

impl Axis {
    /// An axis with even distances.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// An axis of powers of ten.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }

    /// An axis of quantiles.
    pub fn quantile(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Quantile }
    }
}

impl From<LinePlot> for Plot {
    fn from(plot: LinePlot) -> Self {
        Self::Lines(plot)
    }
}

impl From<BarPlot> for Plot {
    fn from(plot: BarPlot) -> Self {
        Self::Bars(plot)
    }
}

//! Writes the elements of a drawing, with text escaped and coordinates short.

use std::fmt::Write;

/// A drawing under way.
#[derive(Default)]
pub(super) struct Pen(String);

impl Pen {
    /// The elements so far.
    pub(super) fn into_svg(self) -> String {
        self.0
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// Text whose `anchor` (`start`, `middle` or `end`) is at `x`.
    pub(super) fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        self.put(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    /// A rectangle with `hint` as what a pointer is told.
    pub(super) fn bar(&mut self, class: &str, corner: (f64, f64), size: (f64, f64), hint: &str) {
        let ((x, y), (width, height), hint) = (corner, size, escape(hint));
        self.put(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="3"><title>{hint}</title></rect>"#
        ));
    }

    /// A dot with `hint` as what a pointer is told.
    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), hint: &str) {
        let ((x, y), hint) = (at, escape(hint));
        self.put(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4"><title>{hint}</title></circle>"#
        ));
    }

    /// Lines from point to point.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        self.put(format_args!(r#"<path class="{class}" d="{}"/>"#, steps(points)));
    }

    /// The area between lines from point to point and the height `floor`.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)], floor: f64) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (start, end) = (first.0, last.0);
        self.put(format_args!(
            r#"<path class="{class}" d="{}L{end:.1} {floor:.1}L{start:.1} {floor:.1}Z"/>"#,
            steps(points)
        ));
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(element);
    }
}

fn steps(points: &[(f64, f64)]) -> String {
    let mut steps = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(steps, "{letter}{x:.1} {y:.1}");
    }
    steps
}

/// `text` as it stands between tags and in attributes of XML and HTML.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape(r#"<b a="x">&'"#), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(escape("a\u{1}b"), "a\u{fffd}b");
    }

    #[test]
    fn an_area_comes_back_along_its_floor() {
        let mut pen = Pen::default();
        pen.area("a", &[(1.0, 5.0), (2.0, 4.0)], 9.0);
        assert_eq!(pen.into_svg(), r#"<path class="a" d="M1.0 5.0L2.0 4.0L2.0 9.0L1.0 9.0Z"/>"#);
    }
}

//! Numbers as text: as many digits as mean something, and thousands apart.

/// Three digits for small numbers, whole ones with thousands apart for large: `0.144`, `14.2`, `189,204`.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        _ if value.fract() == 0.0 || value.abs() >= 99.95 => grouped(&format!("{value:.0}")),
        9.995.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with thousands apart.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// Puts a comma before each three digits from the end.
fn grouped(digits: &str) -> String {
    let digits = if digits == "-0" { "0" } else { digits };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        for (value, expected) in [
            (0.0, "0"),
            (0.1444, "0.144"),
            (-0.0, "0"),
            (2.0, "2"),
            (3.14567, "3.15"),
            (14.25, "14.2"),
            (999.4, "999"),
            (189_204.3, "189,204"),
            (-1234.0, "-1,234"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(figure(value), expected);
        }
        assert_eq!([count(0), count(999), count(1000), count(2_214_000)], ["0", "999", "1,000", "2,214,000"]);
    }
}

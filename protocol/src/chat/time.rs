//! Milliseconds since the epoch as the ISO 8601 text that JavaScript's `toISOString` gives.

/// Writes `unix_ms` as `2026-03-01T10:00:01.000Z`: always 24 bytes, years 1970 to 9999.
///
/// Later instants are written as the last one of the year 9999, so that the length never changes.
pub fn push_iso(out: &mut Vec<u8>, unix_ms: u64) {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    let unix_ms = unix_ms.min(YEAR_10000_MS - 1);
    let (days, in_day_ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let seconds = in_day_ms / 1000;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    write_digits(&mut text[0..4], year);
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    write_digits(&mut text[11..13], seconds / 3600);
    write_digits(&mut text[14..16], seconds / 60 % 60);
    write_digits(&mut text[17..19], seconds % 60);
    write_digits(&mut text[20..23], in_day_ms % 1000);
    out.extend_from_slice(&text);
}

/// Reads an instant of the years 1970 to 9999 in UTC: what [`push_iso`] writes, or the same without fraction.
///
/// `2026-03-01T10:00:01.000Z` and `2026-03-01T10:00:01Z` are 1772359201000; days that do not exist are `None`.
pub fn parse_iso(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "000"));
    let fields: &[u8; 19] = whole.as_bytes().try_into().ok()?;
    let is_separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !is_separated.iter().all(|&(at, separator)| fields[at] == separator) || fraction.len() != 3 {
        return None;
    }
    let number = |from: usize, to: usize| digits(&fields[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 || year < 1970 {
        return None;
    }
    let days = days_of(year, month, day).filter(|&days| civil(days) == (year, month, day))?;
    let in_day_s = hour * 3600 + minute * 60 + second;
    Some((days * 86_400 + in_day_s) * 1000 + digits(fraction.as_bytes())?)
}

/// The days from 1970-01-01 to a date, by the reckoning of [`civil`]; any date if the month exists.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let march_month = if (3..=12).contains(&month) { month - 3 } else { (month + 9).min(12) };
    let year = if march_month >= 10 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * march_month + 2) / 5 + day.checked_sub(1)?;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).checked_sub(719_468)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last day: within an era of 400
/// years (146,097 days) year and month then follow by division.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Writes a number's last digits, as many as there is room for.
fn write_digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        // One decimal digit: always below ten.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for days in 0..2_932_896 / 7 {
            let unix_ms = days * 7 * 86_400_000 + days % 86_400_000;
            let mut out = Vec::new();
            push_iso(&mut out, unix_ms);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(parse_iso(&text), Some(unix_ms), "{text}");
        }
        assert_eq!(parse_iso("2026-03-01T10:00:01Z"), Some(1_772_359_201_000));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "Z",
            "2026-03-01",
            "2026-03-01T10:00:01.000",
            "2026-02-29T10:00:01.000Z",
            "2026-13-01T10:00:01.000Z",
            "2026-00-01T10:00:01.000Z",
            "2026-01-00T10:00:01.000Z",
            "2026-01-32T10:00:01.000Z",
            "0000-01-01T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-03-01T24:00:00.000Z",
            "2026-03-01T10:60:01.000Z",
            "2026-03-01T10:00:01.0Z",
            "2026-03-01 10:00:01.000Z",
            "+026-03-01T10:00:01.000Z",
            "2026-03-01T10:00:01.-00Z",
            "é026-03-01T10:00:01.000Z",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn instants_read_as_javascript_writes_them() {
        let check = |unix_ms, expected: &str| {
            let mut out = Vec::new();
            push_iso(&mut out, unix_ms);
            assert_eq!(core::str::from_utf8(&out).unwrap(), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_772_359_201_000, "2026-03-01T10:00:01.000Z");
        check(1_735_689_599_999, "2024-12-31T23:59:59.999Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check(u64::MAX, "9999-12-31T23:59:59.999Z");
    }
}

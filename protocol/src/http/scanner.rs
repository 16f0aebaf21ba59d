//! Owns the search for the end of a request head, within its bounds and without looking at a byte twice.
//!
//! Nothing reaches the parser before the end was found, so the parser's own limits never decide.

use memchr::{memchr, memchr3};

use super::error::HttpError;
use super::head::{HeadLimits, Request, read};

/// What a request line has besides its target: the longest method, two spaces, the version.
const REQUEST_LINE_BYTES_BESIDE_TARGET: usize = 32;

/// A scanner remembers how much of a head it has seen, so that a head in 1-byte pieces costs no more than a whole one.
///
/// One scanner serves one head: keep it while the head is incomplete, then take a fresh one.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scanner {
    /// Everything before this offset was looked at.
    at: usize,
    line_start: usize,
    lines: usize,
}

impl Scanner {
    /// Makes the scanner of a head of which nothing was seen.
    pub const fn new() -> Self {
        Self { at: 0, line_start: 0, lines: 0 }
    }

    /// Reads the head at the start of `bytes`, which must begin with the bytes of the call before.
    ///
    /// `None` when it is incomplete and within the limits.
    pub fn parse<'a>(
        &mut self,
        bytes: &'a [u8],
        limits: &HeadLimits,
    ) -> Result<Option<Request<'a>>, HttpError> {
        let Some(end) = self.find_end(bytes, limits)? else { return Ok(None) };
        read(&bytes[..end], limits).map(Some)
    }

    /// Returns how many bytes the head has, its last empty line included; `None` when it is incomplete.
    ///
    /// One empty line before the request line is part of the head (RFC 9112 section 2.2 asks to tolerate it).
    pub fn find_end(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
        while let Some(unseen) = window.get(self.at..) {
            let Some(found) = memchr3(b'\r', b'\n', 0, unseen) else {
                self.at = window.len();
                break;
            };
            let mark = self.at + found;
            self.check_request_line(mark, limits)?;
            match (window[mark], window.get(mark + 1)) {
                (0, _) => return Err(HttpError::Nul),
                (b'\r', Some(b'\n')) => {
                    self.at = mark + 2;
                    if self.end_line(&window[self.line_start..mark], limits)? {
                        return Ok(Some(self.at));
                    }
                    self.line_start = self.at;
                }
                (b'\r', None) => {
                    self.at = mark;
                    break;
                }
                _ => return Err(HttpError::BareLineEnd),
            }
        }
        self.incomplete(bytes.len() >= limits.head_bytes_max, limits)
    }

    /// Counts one line; true when it is the empty line that ends the head.
    fn end_line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, HttpError> {
        match (line.is_empty(), self.lines) {
            (true, 0) if self.line_start == 0 => return Ok(false),
            (true, 0) => return Err(HttpError::Malformed),
            (true, _) => return Ok(true),
            (false, 0) if is_target_too_long(line, limits) => return Err(HttpError::TargetTooLong),
            (false, lines) if lines > limits.headers_max => return Err(HttpError::TooManyHeaders),
            (false, _) => {}
        }
        self.lines += 1;
        Ok(false)
    }

    /// Judges the length of a request line that reaches to `end` at least, the same wherever the bytes are cut.
    fn check_request_line(&self, end: usize, limits: &HeadLimits) -> Result<(), HttpError> {
        let line_bytes = end - self.line_start;
        match self.lines == 0 && line_bytes > limits.target_bytes_max + REQUEST_LINE_BYTES_BESIDE_TARGET {
            true => Err(HttpError::TargetTooLong),
            false => Ok(()),
        }
    }

    fn incomplete(&self, is_full: bool, limits: &HeadLimits) -> Result<Option<usize>, HttpError> {
        self.check_request_line(self.at, limits)?;
        match is_full {
            true if self.lines == 0 => Err(HttpError::TargetTooLong),
            true => Err(HttpError::HeadTooBig),
            false => Ok(None),
        }
    }
}

fn is_target_too_long(request_line: &[u8], limits: &HeadLimits) -> bool {
    let target = memchr(b' ', request_line).map_or(&[][..], |space| &request_line[space + 1..]);
    memchr(b' ', target).unwrap_or(target.len()) > limits.target_bytes_max
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 128, headers_max: 2, target_bytes_max: 20 };

    /// The outcome with all bytes at once, which must be the outcome when they come one by one.
    fn check(head: &[u8], expected: Result<Option<usize>, HttpError>) {
        assert_eq!(Scanner::new().find_end(head, &LIMITS), expected, "{:?}", head.escape_ascii().to_string());
        let mut scanner = Scanner::new();
        let dripped = (0..=head.len())
            .map(|end| scanner.find_end(&head[..end], &LIMITS))
            .find(|outcome| *outcome != Ok(None))
            .unwrap_or(Ok(None));
        assert_eq!(dripped, expected, "one by one: {:?}", head.escape_ascii().to_string());
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        check(b"", Ok(None));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r", Ok(None));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(27)));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\0", Ok(Some(27)));
        check(b"GET / HTTP/1.0\r\n\r\n", Ok(Some(18)));
        check(b"\r\nGET / HTTP/1.0\r\n\r\n", Ok(Some(20)));
        check(b"\r\n\r\n", Err(HttpError::Malformed));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        check(b"GET / HTTP/1.1\nHost: a\n\n", Err(HttpError::BareLineEnd));
        check(b"GET / HTTP/1.1\rHost: a\r\n\r\n", Err(HttpError::BareLineEnd));
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\n", Err(HttpError::BareLineEnd));
        check(b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n", Err(HttpError::Nul));
    }

    #[test]
    fn every_bound_holds_before_the_end_arrives() {
        check(&[b'A'; 200], Err(HttpError::TargetTooLong));
        check(b"GET /34567890123456789012 HTTP/1.1\r\n", Err(HttpError::TargetTooLong));
        check(b"GET /3456789012345678901 HTTP/1.1\r\n", Ok(None));
        check(b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n", Err(HttpError::TooManyHeaders));
        let line_end_far_behind = [b"GET /".as_slice(), &[b'a'; 60], b"\nA: b\r\n"].concat();
        check(&line_end_far_behind, Err(HttpError::TargetTooLong));
        let long = [b"GET / HTTP/1.1\r\na: ".as_slice(), &[b'1'; 200]].concat();
        check(&long, Err(HttpError::HeadTooBig));
        check(&[&long[..124], b"\r\n\r\n"].concat(), Ok(Some(128)));
        check(&[&long[..125], b"\r\n\r\n"].concat(), Err(HttpError::HeadTooBig));
    }
}

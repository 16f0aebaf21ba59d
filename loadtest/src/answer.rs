//! Reads the answers that come on one HTTP connection, one after the other, however their bytes are cut.

use protocol::http::{BodyReader, Framing};

/// How long an answer's head may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long an answer's body may be.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The reader; it owns no heap memory between answers.
#[derive(Default)]
pub(crate) struct AnswerReader {
    /// The head as far as it has come; empty while a body is read.
    head: Vec<u8>,
    /// What the head said, and what has come of the body.
    body: Option<Box<(Head, BodyReader, Vec<u8>)>>,
}

/// What counts of a head.
struct Head {
    status: u16,
    framing: Framing,
    is_kept: bool,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the connection is good for another.
    pub(crate) is_kept: bool,
}

impl AnswerReader {
    /// Takes what it needs from the front of `bytes`; an answer as soon as one is whole.
    ///
    /// # Errors
    /// In words, if this is no HTTP or longer than is read.
    pub(crate) fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<Answer>, String> {
        if self.body.is_none() && !self.feed_head(bytes)? {
            return Ok(None);
        }
        let Some(reading) = &mut self.body else { return Ok(None) };
        let (_, reader, body) = &mut **reading;
        let used = reader.feed(bytes, body).map_err(|error| format!("answer's body: {error:?}"))?;
        *bytes = &bytes[used..];
        if !reader.is_complete() {
            return Ok(None);
        }
        Ok(self.body.take().map(|reading| {
            let (Head { status, is_kept, .. }, _, body) = *reading;
            Answer { status, body, is_kept }
        }))
    }

    /// Takes bytes of the head; true when it is whole.
    fn feed_head(&mut self, bytes: &mut &[u8]) -> Result<bool, String> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.head.push(byte);
            if self.head.ends_with(b"\r\n\r\n") {
                let head = std::mem::take(&mut self.head);
                let head = read_head(&head).ok_or("the answer is not HTTP with a length")?;
                let reader = BodyReader::new(head.framing, BODY_BYTES_MAX);
                let reader = reader.map_err(|error| format!("answer's body: {error:?}"))?;
                self.body = Some(Box::new((head, reader, Vec::new())));
                return Ok(true);
            }
            if self.head.len() > HEAD_BYTES_MAX {
                return Err("the answer's head does not end".to_owned());
            }
        }
        Ok(false)
    }
}

/// Reads a head; none if it is not HTTP, or does not say where its body ends.
fn read_head(head: &[u8]) -> Option<Head> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    let status = status.split(' ').next()?.parse().ok().filter(|_| version.starts_with("HTTP/1."))?;
    let (mut framing, mut is_kept) = (None, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            framing = Some(Framing::Length(value.trim().parse().ok()?));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Some(Framing::Chunked);
        } else if name.eq_ignore_ascii_case("connection") {
            is_kept = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some(Head { status, framing: framing?, is_kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(u16, &str)], &str>) {
        let mut bytes = text.as_bytes();
        let (mut reader, mut answers) = (AnswerReader::default(), Vec::new());
        let result = loop {
            match reader.feed(&mut bytes) {
                Ok(Some(Answer { status, body, .. })) => {
                    answers.push((status, String::from_utf8(body).unwrap()))
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let expected =
            expected.map(|answers| answers.iter().map(|&(status, body)| (status, body.to_owned())));
        let answers = result.map(|()| answers).map_err(|error| error.split(':').next().unwrap().to_owned());
        assert_eq!(answers, expected.map(Iterator::collect).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn answers_follow_each_other_with_a_length_or_in_chunks() {
        let two =
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 400 Bad\r\ncontent-length:0\r\n\r\n";
        check(two, Ok(&[(200, "ok"), (400, "")]));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        check(chunks, Ok(&[(200, "ok")]));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", Ok(&[]));
    }

    #[test]
    fn an_answer_says_whether_it_is_the_last() {
        let is_kept = |connection: &str| {
            let text = format!("HTTP/1.1 429 No\r\n{connection}Content-Length: 0\r\n\r\n");
            AnswerReader::default().feed(&mut text.as_bytes()).map(|answer| answer.unwrap().is_kept)
        };
        assert_eq!((is_kept(""), is_kept("Connection: keep-alive\r\n")), (Ok(true), Ok(true)));
        assert_eq!(is_kept("connection:Close\r\n"), Ok(false));
    }

    #[test]
    fn what_is_not_http_or_too_long_is_refused() {
        check("nonsense\r\n\r\n", Err("the answer is not HTTP with a length"));
        check("HTTP/1.1 200 OK\r\n\r\n", Err("the answer is not HTTP with a length"));
        check("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Err("answer's body"));
        check(&format!("HTTP/1.1 200 {}", "x".repeat(HEAD_BYTES_MAX)), Err("the answer's head does not end"));
    }

    #[test]
    fn the_way_bytes_are_cut_does_not_matter() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for cut in 0..text.len() {
            let mut reader = AnswerReader::default();
            assert_eq!(reader.feed(&mut &text[..cut]), Ok(None), "cut at {cut}");
            let answer = reader.feed(&mut &text[cut..]);
            assert_eq!(
                answer,
                Ok(Some(Answer { status: 200, body: b"ok".to_vec(), is_kept: true })),
                "cut at {cut}"
            );
        }
    }
}

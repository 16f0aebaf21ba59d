//! Reads the answers that come on one HTTP connection, one after the other, however their bytes are cut.

use protocol::http::{BodyReader, Framing};

/// How long an answer's head may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long an answer's body may be.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The reader; it owns no heap memory between answers.
#[derive(Default)]
pub(super) struct AnswerReader {
    /// The head as far as it has come; empty while a body is read.
    head: Vec<u8>,
    /// The status and what has come of the body.
    body: Option<Box<(u16, BodyReader, Vec<u8>)>>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl AnswerReader {
    /// Takes what it needs from the front of `bytes`; an answer as soon as one is whole.
    ///
    /// # Errors
    /// In words, if this is no HTTP or longer than is read.
    pub(super) fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<Answer>, String> {
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
            let (status, _, body) = *reading;
            Answer { status, body }
        }))
    }

    /// Takes bytes of the head; true when it is whole.
    fn feed_head(&mut self, bytes: &mut &[u8]) -> Result<bool, String> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.head.push(byte);
            if self.head.ends_with(b"\r\n\r\n") {
                let head = std::mem::take(&mut self.head);
                let (status, framing) = read_head(&head).ok_or("the answer is not HTTP")?;
                let reader = BodyReader::new(framing, BODY_BYTES_MAX);
                let reader = reader.map_err(|error| format!("answer's body: {error:?}"))?;
                self.body = Some(Box::new((status, reader, Vec::new())));
                return Ok(true);
            }
            if self.head.len() > HEAD_BYTES_MAX {
                return Err("the answer's head does not end".to_owned());
            }
        }
        Ok(false)
    }
}

/// The status and how the body is delimited.
fn read_head(head: &[u8]) -> Option<(u16, Framing)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    let status = status.split(' ').next()?.parse().ok().filter(|_| version.starts_with("HTTP/1."))?;
    let mut framing = Framing::Length(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        }
    }
    Some((status, framing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(u16, &str)], &str>) {
        let mut bytes = text.as_bytes();
        let (mut reader, mut answers) = (AnswerReader::default(), Vec::new());
        let result = loop {
            match reader.feed(&mut bytes) {
                Ok(Some(Answer { status, body })) => answers.push((status, String::from_utf8(body).unwrap())),
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
    fn what_is_not_http_or_too_long_is_refused() {
        check("nonsense\r\n\r\n", Err("the answer is not HTTP"));
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
            assert_eq!(answer, Ok(Some(Answer { status: 200, body: b"ok".to_vec() })), "cut at {cut}");
        }
    }
}

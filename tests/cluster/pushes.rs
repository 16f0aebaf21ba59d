//! Where replies of Redis begin and end in a stream of bytes (RESP3), as far as it takes to leave the pushes out.

/// Takes bytes as they come and gives whole replies, with or without pushes.
#[derive(Default)]
pub(crate) struct PushFilter {
    waiting: Vec<u8>,
}

impl PushFilter {
    /// The whole replies in what has come; without messages of channels if `drops_pushes`.
    pub(crate) fn pass(&mut self, bytes: &[u8], drops_pushes: bool) -> Vec<u8> {
        self.waiting.extend_from_slice(bytes);
        let mut passed = Vec::new();
        let mut start = 0;
        while let Some(end) = reply_end(&self.waiting, start) {
            let reply = &self.waiting[start..end];
            if !(drops_pushes && is_message(reply)) {
                passed.extend_from_slice(reply);
            }
            start = end;
        }
        self.waiting.drain(..start);
        passed
    }
}

/// Whether a reply is a push that carries a message; confirmations of subscriptions are none.
fn is_message(reply: &[u8]) -> bool {
    reply.starts_with(b">3\r\n$7\r\nmessage\r\n") || reply.starts_with(b">3\r\n$8\r\nsmessage\r\n")
}

/// Where the reply that begins at `start` ends; `None` while it is not whole.
fn reply_end(bytes: &[u8], start: usize) -> Option<usize> {
    let line = start + bytes[start..].windows(2).position(|pair| pair == b"\r\n")?;
    let after = line + 2;
    let number = || std::str::from_utf8(&bytes[start + 1..line]).ok()?.parse::<i64>().ok();
    let count = |each: usize| usize::try_from(number().unwrap_or(0)).unwrap_or(0) * each;
    match bytes[start] {
        b'$' | b'=' | b'!' => match number() {
            Some(length @ 0..) => {
                let end = after + usize::try_from(length).ok()? + 2;
                (end <= bytes.len()).then_some(end)
            }
            _ => Some(after),
        },
        b'*' | b'>' | b'~' => (0..count(1)).try_fold(after, |at, _| reply_end(bytes, at)),
        b'%' | b'|' => (0..count(2)).try_fold(after, |at, _| reply_end(bytes, at)),
        _ => Some(after),
    }
}

#[test]
fn pushes_are_left_out_wherever_the_stream_is_cut() {
    let message = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n";
    let rest =
        ["+OK\r\n", "*2\r\n$-1\r\n:7\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "%1\r\n+a\r\n_\r\n"];
    let stream = format!("{}{message}{}{}{message}{}", rest[0], rest[1], rest[2], rest[3]);
    for step in 1..=stream.len() {
        let (mut filter, mut passed, mut all) = (PushFilter::default(), Vec::new(), PushFilter::default());
        let mut everything = Vec::new();
        for chunk in stream.as_bytes().chunks(step) {
            passed.extend(filter.pass(chunk, true));
            everything.extend(all.pass(chunk, false));
        }
        assert_eq!(String::from_utf8(passed).unwrap(), rest.concat(), "in steps of {step}");
        assert_eq!(String::from_utf8(everything).unwrap(), stream, "in steps of {step}");
    }
}

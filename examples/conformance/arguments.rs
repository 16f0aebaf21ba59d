//! The arguments of events and acknowledgements, with their binary attachments.

use protocol::json::{Json, Kind, push_str, push_u64};

/// Arguments to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// JSON values with commas between them; empty for none.
    pub(crate) json: Vec<u8>,
    /// What the placeholders stand for: the first for number 0.
    pub(crate) attachments: Vec<Vec<u8>>,
}

impl Arguments {
    /// No arguments.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// What `write` writes: values with commas between them.
    pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut arguments = Self::none();
        write(&mut arguments.json);
        arguments
    }

    /// One string.
    pub(crate) fn text(text: &str) -> Self {
        Self::written(|json| push_str(json, text))
    }

    /// One number.
    pub(crate) fn number(number: usize) -> Self {
        Self::written(|json| push_u64(json, number as u64))
    }

    /// One binary value.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        let mut arguments = Self::none();
        arguments.push_bytes(bytes);
        arguments
    }

    /// Values that came from a client, with those of its attachments that they refer to.
    ///
    /// Placeholders are numbered anew in the order in which they stand, as Node does; attachments
    /// without one are dropped. One that is referred to twice is sent once: else 1 MB of
    /// placeholders could be answered with a terabyte.
    pub(crate) fn received<'a>(values: impl Iterator<Item = Json<'a>>, attachments: &[Vec<u8>]) -> Self {
        let mut copy = Copying { arguments: Self::none(), received: attachments, numbers: Vec::new() };
        copy.list(values, Copying::value);
        copy.arguments
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let number = self.attachments.len() as u64;
        push_placeholder(&mut self.json, number);
        self.attachments.push(bytes.to_vec());
    }
}

/// A copy under way.
struct Copying<'a> {
    arguments: Arguments,
    received: &'a [Vec<u8>],
    /// Numbers of the received attachments that were used, in the order of their new numbers.
    numbers: Vec<usize>,
}

impl Copying<'_> {
    /// Copies one value without the white space in it. Recurses as deep as the validator allowed, 64.
    fn value(&mut self, value: Json<'_>) {
        match value.kind() {
            Kind::Array => {
                self.arguments.json.push(b'[');
                self.list(value.items(), Self::value);
                self.arguments.json.push(b']');
            }
            Kind::Object => match self.attachment(value) {
                Some(number) => self.attach(number),
                None => {
                    self.arguments.json.push(b'{');
                    self.list(value.fields(), |copy, (key, value)| {
                        push_str(&mut copy.arguments.json, &key.as_str());
                        copy.arguments.json.push(b':');
                        copy.value(value);
                    });
                    self.arguments.json.push(b'}');
                }
            },
            _ => self.arguments.json.extend_from_slice(value.as_raw().as_bytes()),
        }
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, copy: impl Fn(&mut Self, T)) {
        for (position, item) in items.enumerate() {
            if position > 0 {
                self.arguments.json.push(b',');
            }
            copy(self, item);
        }
    }

    /// Which of the received attachments an object stands for, if it is a placeholder.
    fn attachment(&self, object: Json<'_>) -> Option<usize> {
        let is_placeholder = object.get("_placeholder").and_then(Json::as_bool) == Some(true);
        let number = usize::try_from(object.get("num").and_then(Json::as_u64)?).ok()?;
        (is_placeholder && number < self.received.len()).then_some(number)
    }

    fn attach(&mut self, number: usize) {
        match self.numbers.iter().position(|used| *used == number) {
            Some(known) => push_placeholder(&mut self.arguments.json, known as u64),
            None => {
                self.numbers.push(number);
                self.arguments.push_bytes(&self.received[number]);
            }
        }
    }
}

fn push_placeholder(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(b"{\"_placeholder\":true,\"num\":");
    push_u64(out, number);
    out.push(b'}');
}

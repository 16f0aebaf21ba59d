//! Commands as Redis reads them: an array of strings with their lengths.

/// Appends a command to a buffer of commands: its name and arguments.
///
/// `["GET", "a"]` becomes `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`.
pub fn push_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    begin_command(out, parts.len());
    parts.iter().for_each(|part| push_part(out, part));
}

/// Begins a command of so many parts, each to be appended with [`push_part`].
pub fn begin_command(out: &mut Vec<u8>, part_count: usize) {
    push_length(out, b'*', part_count);
}

/// Appends one part of a command that was begun.
pub fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    out.reserve(part.len() + LENGTH_BYTES);
    push_length(out, b'$', part.len());
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

/// What a part costs beside its bytes as a rule: a letter, the length, two ends of a line.
const LENGTH_BYTES: usize = 12;

fn push_length(out: &mut Vec<u8>, letter: u8, length: usize) {
    out.push(letter);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        push_command(&mut out, &[b"PUBLISH", b"a b", b"\r\n\0"]);
        push_command(&mut out, &[b"PING"]);
        assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$3\r\na b\r\n$3\r\n\r\n\0\r\n*1\r\n$4\r\nPING\r\n");
    }
}

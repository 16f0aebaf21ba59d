//! Writing packets: the text of a Socket.IO packet, without the `4` of Engine.IO before it.
//!
//! The form is that of Node to the byte, since clients' suites compare frames as text: no spaces, `/` not written,
//! other namespaces followed by a comma.

use crate::json::{ObjectWriter, push_str, push_u64};

/// Writes a server's consent to a client that joins: `0{"sid":"…"}`, with `"pid"` if the session can be recovered.
pub fn push_connect(out: &mut Vec<u8>, namespace: &str, sid: &str, pid: Option<&str>) {
    push_head(out, b'0', namespace, None);
    let mut object = ObjectWriter::begin(out);
    object.field_str("sid", sid);
    if let Some(pid) = pid {
        object.field_str("pid", pid);
    }
    object.end();
}

/// Writes a client's wish to join: `0{"token":"…"}`. `auth` is a JSON object, or absent.
pub fn push_connect_request(out: &mut Vec<u8>, namespace: &str, auth: Option<&str>) {
    push_head(out, b'0', namespace, None);
    push_raw(out, auth.unwrap_or(""));
}

/// Writes a server's refusal: `4{"message":"…","data":…}`. `data` is any JSON, or absent.
pub fn push_connect_error(out: &mut Vec<u8>, namespace: &str, message: &str, data: Option<&str>) {
    push_head(out, b'4', namespace, None);
    let mut object = ObjectWriter::begin(out);
    object.field_str("message", message);
    if let Some(data) = data {
        object.field_raw("data", data);
    }
    object.end();
}

/// Writes that a namespace is left: `1`, or `1/admin,`.
pub fn push_disconnect(out: &mut Vec<u8>, namespace: &str) {
    push_head(out, b'1', namespace, None);
}

/// Writes what stands before an event's array: `2`, or `51-/admin,7`. The array has to follow, and `attachments`
/// binary messages after it.
pub fn push_event_head(out: &mut Vec<u8>, namespace: &str, id: Option<u64>, attachments: usize) {
    push_binary_kind(out, [b'2', b'5'], attachments);
    push_address(out, namespace, id);
}

/// Writes a whole event without attachments: `2/admin,7["name",1,{}]`. Every argument is one JSON value.
pub fn push_event(out: &mut Vec<u8>, namespace: &str, id: Option<u64>, name: &str, arguments: &[&str]) {
    push_event_head(out, namespace, id, 0);
    out.push(b'[');
    push_str(out, name);
    for argument in arguments {
        out.push(b',');
        push_raw(out, argument);
    }
    out.push(b']');
}

/// Writes what stands before an answer's array: `37`, or `61-/admin,7`.
pub fn push_ack_head(out: &mut Vec<u8>, namespace: &str, id: u64, attachments: usize) {
    push_binary_kind(out, [b'3', b'6'], attachments);
    push_address(out, namespace, Some(id));
}

/// Writes a whole answer without attachments: `3/admin,7[1,{}]`. `arguments` is the JSON array, brackets included.
pub fn push_ack(out: &mut Vec<u8>, namespace: &str, id: u64, arguments: &str) {
    push_ack_head(out, namespace, id, 0);
    push_raw(out, arguments);
}

fn push_head(out: &mut Vec<u8>, kind: u8, namespace: &str, id: Option<u64>) {
    out.push(kind);
    push_address(out, namespace, id);
}

fn push_binary_kind(out: &mut Vec<u8>, [text, binary]: [u8; 2], attachments: usize) {
    if attachments == 0 {
        out.push(text);
    } else {
        out.push(binary);
        push_u64(out, attachments as u64);
        out.push(b'-');
    }
}

fn push_address(out: &mut Vec<u8>, namespace: &str, id: Option<u64>) {
    if namespace != "/" {
        push_raw(out, namespace);
        out.push(b',');
    }
    if let Some(id) = id {
        push_u64(out, id);
    }
}

fn push_raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn packets_are_written_as_node_writes_them() {
        check(|out| push_connect(out, "/", "a\"", None), r#"0{"sid":"a\""}"#);
        check(|out| push_connect(out, "/admin", "a", Some("p")), r#"0/admin,{"sid":"a","pid":"p"}"#);
        check(|out| push_connect_request(out, "/", None), "0");
        check(|out| push_connect_request(out, "/x", Some("{\"token\":1}")), "0/x,{\"token\":1}");
        check(
            |out| push_connect_error(out, "/random", "Invalid namespace", None),
            r#"4/random,{"message":"Invalid namespace"}"#,
        );
        check(
            |out| push_connect_error(out, "/", "No", Some(r#"{"code":1}"#)),
            r#"4{"message":"No","data":{"code":1}}"#,
        );
        check(|out| push_disconnect(out, "/"), "1");
        check(|out| push_disconnect(out, "/admin"), "1/admin,");
        check(|out| push_event(out, "/", None, "auth", &["{}"]), r#"2["auth",{}]"#);
        check(|out| push_event(out, "/a", Some(0), "x", &["1", "null"]), r#"2/a,0["x",1,null]"#);
        check(|out| push_event_head(out, "/a", Some(12), 2), "52-/a,12");
        check(|out| push_ack(out, "/", 456, r#"[1,"2",{"3":[false]}]"#), r#"3456[1,"2",{"3":[false]}]"#);
        check(|out| push_ack_head(out, "/", 789, 2), "62-789");
    }
}

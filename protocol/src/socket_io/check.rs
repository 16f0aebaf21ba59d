//! The rules of the protocol for a packet's JSON, before any application sees it.

use crate::json::{self, Json};

use super::{Kind, Packet, ParseError, placeholder};

/// Whether the name is kept for the libraries themselves; no event may carry it, in either direction.
#[must_use]
pub fn is_reserved(event: &str) -> bool {
    matches!(
        event,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}

/// Checks a packet's validated JSON against what its kind may carry.
///
/// `data` is `None` when [`Packet::data`] is empty; `attachments` is how many came. The rules are Node's: CONNECT has
/// an object or nothing; DISCONNECT has nothing; an event is an array that begins with its name; an answer is an
/// array, or nothing for no arguments; CONNECT_ERROR has a string, an object or nothing. The name of an event may be
/// a number, as Node allows: to an application without such an event it is an unknown one.
///
/// Stricter than Node about placeholders: `num` is a whole number, also in a placeholder inside of another.
///
/// # Errors
/// [`ParseError::Payload`], [`ParseError::ReservedEvent`], [`ParseError::Placeholder`], and the two that do not close:
/// Node takes an event without data and an answer without id, and does nothing. That is for namespaces that were
/// joined; a packet to any other closes, whatever it says, so look at the namespace first.
pub fn check(packet: &Packet<'_>, data: Option<Json<'_>>, attachments: usize) -> Result<(), ParseError> {
    check_shape(packet, data)?;
    match data {
        Some(data) if packet.kind.is_binary() => placeholder::check(data, attachments),
        _ => Ok(()),
    }
}

/// The rules without those for placeholders, which can wait for the attachments.
pub(super) fn check_shape(packet: &Packet<'_>, data: Option<Json<'_>>) -> Result<(), ParseError> {
    let kind = data.map(Json::kind);
    let is_allowed = match packet.kind {
        Kind::Connect => matches!(kind, None | Some(json::Kind::Object)),
        Kind::Disconnect => kind.is_none(),
        Kind::ConnectError => matches!(kind, None | Some(json::Kind::Object | json::Kind::String)),
        Kind::Event | Kind::BinaryEvent => return check_event(data.ok_or(ParseError::EventWithoutData)?),
        Kind::Ack | Kind::BinaryAck => matches!(kind, None | Some(json::Kind::Array)),
    };
    let is_ack = matches!(packet.kind, Kind::Ack | Kind::BinaryAck);
    match is_allowed {
        false => Err(ParseError::Payload),
        true if is_ack && packet.id.is_none() => Err(ParseError::AckWithoutId),
        true => Ok(()),
    }
}

fn check_event(data: Json<'_>) -> Result<(), ParseError> {
    let name = data.items().next().ok_or(ParseError::Payload)?;
    match (name.kind(), name.as_str()) {
        (json::Kind::Number, _) => Ok(()),
        (_, Some(name)) if is_reserved(&name) => Err(ParseError::ReservedEvent),
        (_, Some(_)) => Ok(()),
        _ => Err(ParseError::Payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Validator;

    fn verdict(text: &str, attachments: usize) -> Result<(), ParseError> {
        let packet = super::super::parse(text).unwrap();
        let mut validator = Validator::new();
        let data = (!packet.data.is_empty()).then(|| validator.check(packet.data).unwrap());
        check(&packet, data, attachments)
    }

    #[test]
    fn each_kind_carries_its_own_json() {
        for text in
            ["0", "0{}", "1", r#"2["a"]"#, "2[1]", r#"2["a",{}]"#, "31[]", "31", "4{}", r#"4"x""#, "4"]
        {
            assert_eq!(verdict(text, 0), Ok(()), "{text}");
        }
        for text in [
            "0[]",
            "0null",
            "0\"a\"",
            "1{}",
            "1null",
            "2[]",
            "2{}",
            "2[{}]",
            "2[null]",
            "2[[\"a\"]]",
            "31{}",
            "4[]",
        ] {
            assert_eq!(verdict(text, 0), Err(ParseError::Payload), "{text}");
        }
    }

    #[test]
    fn packets_that_mean_nothing_do_not_close() {
        for (text, error) in [("2", ParseError::EventWithoutData), ("3[1]", ParseError::AckWithoutId)] {
            assert_eq!(verdict(text, 0), Err(error));
            assert!(!error.closes());
        }
        assert!(ParseError::Payload.closes());
    }

    #[test]
    fn reserved_names_are_refused_however_they_are_written() {
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert_eq!(verdict(&format!("2[\"{name}\"]"), 0), Err(ParseError::ReservedEvent));
        }
        assert_eq!(verdict(r#"2["\u0063onnect"]"#, 0), Err(ParseError::ReservedEvent));
        assert_eq!(verdict(r#"2["Connect"]"#, 0), Ok(()));
        assert_eq!(verdict(r#"2["error"]"#, 0), Ok(()));
    }

    #[test]
    fn placeholders_count_in_binary_packets_only() {
        let data = r#"["a",{"_placeholder":true,"num":1}]"#;
        assert_eq!(verdict(&format!("2{data}"), 0), Ok(()));
        assert_eq!(verdict(&format!("51-{data}"), 1), Err(ParseError::Placeholder));
        assert_eq!(verdict(&format!("52-{data}"), 2), Ok(()));
        assert_eq!(verdict(r#"51-["a"]"#, 1), Ok(()));
    }
}

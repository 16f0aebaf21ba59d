//! Session ids: they say where a session lives and prove that its client opened it.

use std::fmt;

use base64::engine::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

/// Characters of a session id as text, of a node that shares its sessions with nobody.
pub const TEXT_BYTES: usize = 30;

/// Characters of a session id as text, if it names its node.
pub const NAMED_TEXT_BYTES: usize = TEXT_BYTES + NodeName::BYTES;

const CORE_BYTES: usize = 2;
const SLOT_BYTES: usize = 4;
const SECRET_BYTES: usize = 16;
const BYTES: usize = CORE_BYTES + SLOT_BYTES + SECRET_BYTES;

/// What nodes call each other: eight letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeName([u8; Self::BYTES]);

impl NodeName {
    /// Characters of a name.
    pub const BYTES: usize = 8;

    /// Reads a name: capital letters and digits of ASCII, nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; Self::BYTES] = text.as_bytes().try_into().ok()?;
        let is_fit = |letter: &u8| letter.is_ascii_uppercase() || letter.is_ascii_digit();
        letters.iter().all(is_fit).then_some(Self(letters))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An Engine.IO session id: a place, so that no table is needed to find the session, and a secret.
///
/// As text it is the 22 bytes (core, slot, secret; big endian) in base64url without padding, 30 characters, and behind
/// them the name of the node, if it has one: `AAMBAgMEMDEyMzQ1Njc4OWFiY2RlZg0A1B2C3D`.
/// Comparing two ids takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct Sid {
    /// The node that the session is on, if nodes know each other.
    pub node: Option<NodeName>,
    /// The core that owns the session.
    pub core: u16,
    /// The session's slot on that core.
    pub slot: u32,
    /// 128 random bits; whoever knows them is the client.
    pub secret: [u8; SECRET_BYTES],
}

impl Sid {
    /// The id as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(NAMED_TEXT_BYTES);
        URL_SAFE_NO_PAD.encode_string(self.to_bytes(), &mut text);
        if let Some(node) = &self.node {
            text.push_str(node.as_str());
        }
        text
    }

    /// Reads an id; `None` for anything that [`Sid::to_text`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (place, name) = text.split_at_checked(TEXT_BYTES)?;
        let node = match name {
            "" => None,
            name => Some(NodeName::parse(name)?),
        };
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(place, &mut bytes).ok()?;
        let (core, rest) = bytes.split_first_chunk::<CORE_BYTES>()?;
        let (slot, secret) = rest.split_first_chunk::<SLOT_BYTES>()?;
        let sid = Self {
            node,
            core: u16::from_be_bytes(*core),
            slot: u32::from_be_bytes(*slot),
            secret: secret.try_into().ok()?,
        };
        (length == BYTES).then_some(sid)
    }

    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..CORE_BYTES].copy_from_slice(&self.core.to_be_bytes());
        bytes[CORE_BYTES..CORE_BYTES + SLOT_BYTES].copy_from_slice(&self.slot.to_be_bytes());
        bytes[CORE_BYTES + SLOT_BYTES..].copy_from_slice(&self.secret);
        bytes
    }
}

impl PartialEq for Sid {
    fn eq(&self, other: &Self) -> bool {
        // The name is no secret.
        self.node == other.node && self.to_bytes().ct_eq(&other.to_bytes()).into()
    }
}

impl Eq for Sid {}

/// The place only: what gets into a log must not let its reader take over the session.
impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(formatter, "Sid({node:?}:{}:{})", self.core, self.slot),
            None => write!(formatter, "Sid({}:{})", self.core, self.slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: Sid = Sid { node: None, core: 3, slot: 0x0102_0304, secret: *b"0123456789abcdef" };

    #[test]
    fn an_id_is_read_back() {
        let node = NodeName::parse("0A1B2C3D");
        for sid in [
            SID,
            Sid { node: None, core: 0, slot: 0, secret: [0; 16] },
            Sid { node: None, core: !0, slot: !0, secret: [!0; 16] },
        ] {
            let text = sid.to_text();
            assert_eq!(text.len(), TEXT_BYTES);
            assert_eq!(Sid::parse(&text), Some(sid));
            let named = Sid { node, ..sid };
            assert_eq!(named.to_text(), text + "0A1B2C3D");
            assert_eq!(named.to_text().len(), NAMED_TEXT_BYTES);
            assert_eq!(Sid::parse(&named.to_text()), Some(named));
            assert_ne!(named, sid);
        }
    }

    #[test]
    fn an_id_differs_in_any_part() {
        assert_ne!(SID, Sid { core: 4, ..SID });
        assert_ne!(SID, Sid { slot: 4, ..SID });
        assert_ne!(SID, Sid { secret: *b"0123456789abcdeF", ..SID });
    }

    #[test]
    fn only_the_one_way_to_write_an_id_is_read() {
        let text = SID.to_text();
        let (last, rest) = (text.as_bytes()[29], &text[..29]);
        let loose_bits = format!("{rest}{}", char::from(last + 1));
        let texts =
            ["", "lv_VI97HAXpY6yYWAAAC", &text[1..], &format!("{text}A"), &format!("{rest}="), &loose_bits];
        for name in ["0A1B2C3", "0A1B2C3DE", "0a1b2c3d", "0A1B-C3D", "0A1B2Cä"] {
            assert_eq!(Sid::parse(&format!("{text}{name}")), None, "{name}");
        }
        for text in texts {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
        assert_eq!(Sid::parse(&format!("{}ä", &text[..28])), None);
        assert_eq!(Sid::parse(&text.replace('A', "+")), None);
    }

    #[test]
    fn logs_do_not_show_the_secret() {
        assert_eq!(format!("{SID:?}"), "Sid(3:16909060)");
        let named = Sid { node: NodeName::parse("0A1B2C3D"), ..SID };
        assert_eq!(format!("{named:?}"), "Sid(0A1B2C3D:3:16909060)");
    }
}

//! Session ids: they say where a session lives and prove that its client opened it.

use std::fmt;

use base64::engine::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

/// Characters of a session id as text.
pub const TEXT_BYTES: usize = 30;

const CORE_BYTES: usize = 2;
const SLOT_BYTES: usize = 4;
const SECRET_BYTES: usize = 16;
const BYTES: usize = CORE_BYTES + SLOT_BYTES + SECRET_BYTES;

/// An Engine.IO session id: a place, so that no table is needed to find the session, and a secret.
///
/// As text it is the 22 bytes (core, slot, secret; big endian) in base64url without padding: 30 characters.
/// Comparing two ids takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub struct Sid {
    /// The core that owns the session.
    pub core: u16,
    /// The session's slot on that core.
    pub slot: u32,
    /// 128 random bits; whoever knows them is the client.
    pub secret: [u8; SECRET_BYTES],
}

impl Sid {
    /// The id as text.
    ///
    /// # Panics
    /// Never: 22 bytes are 30 characters of base64.
    #[must_use]
    pub fn encode(&self) -> [u8; TEXT_BYTES] {
        let mut text = [0; TEXT_BYTES];
        URL_SAFE_NO_PAD
            .encode_slice(self.to_bytes(), &mut text)
            .expect("22 bytes are 30 characters of base64");
        text
    }

    /// The id as text, owned.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.encode().map(char::from).iter().collect()
    }

    /// Reads an id; `None` for anything that [`Sid::encode`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (core, rest) = bytes.split_first_chunk::<CORE_BYTES>()?;
        let (slot, secret) = rest.split_first_chunk::<SLOT_BYTES>()?;
        let sid = Self {
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
        self.to_bytes().ct_eq(&other.to_bytes()).into()
    }
}

impl Eq for Sid {}

/// The place only: what gets into a log must not let its reader take over the session.
impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sid({}:{})", self.core, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: Sid = Sid { core: 3, slot: 0x0102_0304, secret: *b"0123456789abcdef" };

    #[test]
    fn an_id_is_read_back() {
        for sid in
            [SID, Sid { core: 0, slot: 0, secret: [0; 16] }, Sid { core: !0, slot: !0, secret: [!0; 16] }]
        {
            let text = sid.to_text();
            assert_eq!(text.len(), TEXT_BYTES);
            assert_eq!(Sid::parse(&text), Some(sid));
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
        for text in texts {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
        assert_eq!(Sid::parse(&format!("{}ä", &text[..28])), None);
        assert_eq!(Sid::parse(&text.replace('A', "+")), None);
    }

    #[test]
    fn logs_do_not_show_the_secret() {
        assert_eq!(format!("{SID:?}"), "Sid(3:16909060)");
    }
}

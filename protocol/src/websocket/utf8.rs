//! Owns the check that text is UTF-8 while it arrives in pieces of any size (RFC 6455 section 8.1).
//!
//! Whole text goes through [`whole`], which is the vectorised path; text in pieces goes through a [`Check`], which
//! fails at the first byte that no continuation can make valid.

/// Returns the bytes as text, or nothing when they are not UTF-8.
pub fn whole(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// A check holds the beginning of a character whose other bytes have not arrived: at most three bytes.
///
/// Example: `E2 82` is accepted and carried; `AC` then completes the euro sign, and anything but a continuation byte
/// is refused at once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Check {
    carry: [u8; 3],
    carry_bytes: u8,
}

/// The error of text that is not UTF-8, whatever follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8;

impl Check {
    /// Takes the next piece; fails when the text so far cannot be the beginning of valid UTF-8.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), NotUtf8> {
        let rest = self.complete_carry(piece)?;
        let Err(error) = simdutf8::compat::from_utf8(rest) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(NotUtf8);
        }
        let tail = rest.get(error.valid_up_to()..).unwrap_or_default();
        let carry = self.carry.get_mut(..tail.len()).ok_or(NotUtf8)?;
        carry.copy_from_slice(tail);
        self.carry_bytes = tail.len() as u8;
        Ok(())
    }

    /// Whether the text may end here: no character has begun without ending.
    pub const fn is_complete(&self) -> bool {
        self.carry_bytes == 0
    }

    /// Ends the carried character with bytes of `piece` and returns what follows it, or carries more.
    fn complete_carry<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], NotUtf8> {
        if self.carry_bytes == 0 {
            return Ok(piece);
        }
        let [first, second, third] = self.carry;
        let mut character = [first, second, third, 0];
        let mut length = usize::from(self.carry_bytes);
        for (used, byte) in piece.iter().enumerate() {
            // The carry is a beginning that lacks bytes, and no character has more than four.
            character[length] = *byte;
            length += 1;
            match core::str::from_utf8(&character[..length]) {
                Ok(_) => {
                    self.carry_bytes = 0;
                    return Ok(&piece[used + 1..]);
                }
                Err(error) if error.error_len().is_some() || length == character.len() => {
                    return Err(NotUtf8);
                }
                Err(_) => {
                    self.carry[length - 1] = *byte;
                    self.carry_bytes = length as u8;
                }
            }
        }
        Ok(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, whole};

    /// The number of bytes after which `bytes`, pushed one at a time, fail; `None` when they never do.
    fn fails_after(bytes: &[u8]) -> Option<usize> {
        let mut check = Check::default();
        bytes.iter().position(|byte| check.push(&[*byte]).is_err()).map(|at| at + 1)
    }

    #[test]
    fn the_first_byte_that_cannot_be_mended_fails() {
        assert_eq!(fails_after(&[0xce, 0xba, 0xe1, 0xbd, 0xb9]), None);
        assert_eq!(fails_after(&[0xf4, 0x8f, 0xbf, 0xbf]), None);
        assert_eq!(fails_after(&[0xf4, 0x90]), Some(2), "beyond U+10FFFF");
        assert_eq!(fails_after(&[0xed, 0xa0]), Some(2), "a surrogate");
        assert_eq!(fails_after(&[0xe0, 0x80]), Some(2), "overlong");
        assert_eq!(fails_after(&[0xc0]), Some(1), "overlong");
        assert_eq!(fails_after(&[b'a', 0x80]), Some(2), "a continuation byte alone");
        assert_eq!(fails_after(&[0xe2, 0x82, b'a']), Some(3), "a character cut short");
        assert_eq!(fails_after(&[0xff]), Some(1));
    }

    #[test]
    fn every_split_of_valid_text_is_accepted() {
        let text = "aé€𝄞z𝄞€éa";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut check = Check::default();
                for piece in
                    [&text.as_bytes()[..first], &text.as_bytes()[first..second], &text.as_bytes()[second..]]
                {
                    check.push(piece).expect("valid text");
                }
                assert!(check.is_complete());
            }
        }
    }

    #[test]
    fn text_cut_inside_a_character_is_not_complete() {
        let mut check = Check::default();
        check.push(&[b'a', 0xe2, 0x82]).expect("a beginning");
        assert!(!check.is_complete());
        assert_eq!(whole(&[b'a', 0xe2, 0x82]), None);
        assert_eq!(whole("a€".as_bytes()), Some("a€"));
    }

    #[test]
    fn pieces_and_whole_agree_on_every_three_byte_string_of_interest() {
        let interesting = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0,
            0xf4, 0xf5,
        ];
        for a in interesting {
            for b in interesting {
                for c in interesting {
                    let bytes = [a, b, c];
                    let mut check = Check::default();
                    let accepted =
                        bytes.iter().all(|byte| check.push(&[*byte]).is_ok()) && check.is_complete();
                    assert_eq!(accepted, whole(&bytes).is_some(), "{bytes:02x?}");
                }
            }
        }
    }
}

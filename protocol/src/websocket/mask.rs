//! Owns the masking of payloads (RFC 6455 section 5.3), eight bytes at a time. Masking and unmasking are the same.

/// Applies `key` to `payload` in place, beginning with the key's first byte.
///
/// The word loop is plain safe code that the compiler turns into vector instructions.
pub fn apply(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key_byte;
    }
}

/// Returns the key that continues the mask after `bytes` bytes of the payload.
///
/// Example: after 5 bytes the key `[1, 2, 3, 4]` continues as `[2, 3, 4, 1]`.
pub const fn rotated(key: [u8; 4], bytes: usize) -> [u8; 4] {
    let [a, b, c, d] = key;
    match bytes % 4 {
        0 => [a, b, c, d],
        1 => [b, c, d, a],
        2 => [c, d, a, b],
        _ => [d, a, b, c],
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, rotated};

    #[test]
    fn every_length_and_split_equals_the_definition_in_the_rfc() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..70_usize {
            let plain: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let expected: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            for split in 0..=length {
                let mut masked = plain.clone();
                let (head, tail) = masked.split_at_mut(split);
                apply(head, key);
                apply(tail, rotated(key, split));
                assert_eq!(masked, expected, "length {length}, split {split}");
            }
        }
    }
}

//! Owns the cutting of an input into the pieces in which it might arrive.

/// Takes the first byte of an input as the choice of how to cut the rest; an empty input has the choice 0.
pub fn split_choice(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(choice, rest)| (*choice, rest))
}

/// Cuts `bytes` into pieces of 1 to 256 bytes, whose lengths follow from `choice` alone; 0 leaves it whole.
pub fn pieces(bytes: &[u8], choice: u8) -> Vec<&[u8]> {
    if choice == 0 {
        return vec![bytes];
    }
    let mut lengths = u32::from(choice);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        lengths = lengths.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let longest = if choice.is_multiple_of(3) { 1 } else { 1 << (lengths >> 28 & 7) };
        let length = 1 + (lengths >> 16) as usize % longest;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

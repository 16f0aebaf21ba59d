//! Owns the making of inputs from valid ones. An input follows from the seeds, one number and the case alone, so any
//! case can be made again.

/// The longest input that is made.
pub const INPUT_BYTES_MAX: usize = 4096;

const MUTATIONS_MAX: usize = 8;
/// Bytes at which parsers branch: bounds of ranges, line ends, separators, bits of frames.
const INTERESTING: [u8; 32] = [
    0x00, 0x01, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0xc0, 0xc1, 0xe2, 0xed, 0xf4, 0xfd,
    0xfe, 0xff, b'\r', b'\n', b' ', b'\t', b':', b';', b',', b'"', b'\\', b'[', b'{', b'0', b'9',
];

/// A mutator makes inputs from seeds.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// Makes a mutator of these seeds; without any it begins with an empty input.
    pub fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds: if seeds.is_empty() { vec![Vec::new()] } else { seeds } }
    }

    /// Makes the input of one case: a seed with one to eight mutations.
    pub fn input(&self, seed: u64, case: u64) -> Vec<u8> {
        let mut random = Random::new(seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut input = self.any_seed(&mut random).to_vec();
        for _ in 0..=random.below(MUTATIONS_MAX) {
            self.mutate(&mut input, &mut random);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn any_seed(&self, random: &mut Random) -> &[u8] {
        &self.seeds[random.below(self.seeds.len())]
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at).min(64) + 1);
        match random.below(9) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let range = input[at..end].repeat(1 + random.below(16));
                drop(input.splice(at..at, range));
            }
            3 => input.insert(at, INTERESTING[random.below(INTERESTING.len())]),
            4 => {
                let other = self.any_seed(random);
                let from = random.below(other.len() + 1);
                drop(input.splice(at..end, other[from..].iter().copied()));
            }
            5 => input[at..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
            choice => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = match choice {
                        6 => *byte ^ 1 << random.below(8),
                        7 => INTERESTING[random.below(INTERESTING.len())],
                        _ => byte.wrapping_add(random.next() as u8),
                    };
                }
            }
        }
    }
}

/// A small generator of numbers (xorshift64*); good enough to choose mutations.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Mixed once, so that neighbouring seeds do not give neighbouring numbers; never 0.
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ mixed >> 27) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{INPUT_BYTES_MAX, Mutator};

    #[test]
    fn a_case_is_made_again_from_its_number() {
        let mutator = Mutator::new(vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0x81, 0x00]]);
        let inputs: Vec<Vec<u8>> = (0..100).map(|case| mutator.input(7, case)).collect();
        for (case, input) in inputs.iter().enumerate() {
            assert_eq!(*input, mutator.input(7, case as u64));
            assert!(input.len() <= INPUT_BYTES_MAX);
        }
        let mut different = inputs.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 80);
    }
}

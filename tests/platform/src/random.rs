//! Seeded randomness: everything the platform invents comes from here.
//!
//! One generator per world (`SplitMix64`) keeps a run reproducible from its seed; nothing here is meant
//! to resist an attacker.

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const HEX: &[u8] = b"0123456789abcdef";
const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn draw(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .filter_map(|_| {
                let index = usize::try_from(self.below(alphabet.len() as u64)).ok()?;
                alphabet.get(index).copied().map(char::from)
            })
            .collect()
    }

    /// `length` lowercase letters: refs and organization slugs.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        self.draw(LETTERS, length)
    }

    /// `length` lowercase hexadecimal digits.
    pub(crate) fn hex(&mut self, length: usize) -> String {
        self.draw(HEX, length)
    }

    /// `length` letters and digits.
    pub(crate) fn alphanumeric(&mut self, length: usize) -> String {
        self.draw(ALPHANUMERIC, length)
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let digits = self.hex(30);
        let part = |from, to| digits.get(from..to).unwrap_or_default();
        let (first, second, third) = (part(0, 8), part(8, 12), part(12, 15));
        let (fourth, fifth) = (part(15, 18), part(18, 30));
        format!("{first}-{second}-4{third}-8{fourth}-{fifth}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        assert_eq!(one.alphanumeric(40), two.alphanumeric(40));
        assert_ne!(Random::new(7).hex(40), Random::new(8).hex(40));
    }

    #[test]
    fn uuids_have_the_right_shape() {
        let uuid = Random::new(1).uuid();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}

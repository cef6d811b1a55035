//! Randomness as the rest of the program sees it.
//!
//! Separate, because only `main` and tests may make a real one: whatever takes a [`Random`] can be played through, byte for
//! byte the same.

use std::fmt::Debug;

/// Unpredictable bytes.
pub trait Random: Debug + Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// `length` characters of `alphabet`, each equally likely. An empty alphabet gives an empty text.
pub fn draw(random: &dyn Random, alphabet: &[u8], length: usize) -> String {
    let Some(size) = u8::try_from(alphabet.len()).ok().filter(|size| *size > 0) else {
        return String::new();
    };
    // Bytes beyond the last whole multiple are thrown away, or the first letters would come more often.
    let fair = u8::MAX - (u8::MAX % size);
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        random.fill(&mut bytes);
        let letters = bytes
            .iter()
            .filter(|byte| **byte < fair)
            .filter_map(|byte| alphabet.get(usize::from(byte % size)))
            .map(|letter| char::from(*letter));
        text.extend(letters.take(length - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn every_letter_is_equally_likely() {
        let text = draw(&Counting::default(), b"abcdefghijklmnopqrstuvwxyz", 26 * 9 * 4);
        for letter in 'a'..='z' {
            assert_eq!(text.matches(letter).count(), 36, "{letter}");
        }
    }

    #[test]
    fn the_length_is_exact() {
        for length in [0, 1, 10, 63, 64, 65, 200] {
            assert_eq!(draw(&Counting::default(), b"xyz", length).len(), length);
        }
    }
}

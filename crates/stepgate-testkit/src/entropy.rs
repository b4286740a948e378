//! Bytes that look random and are the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use stepgate_types::Entropy;

/// `SplitMix64` (Steele, Lea, Flood 2014) from a seed. Never for anything but tests.
#[derive(Debug)]
pub struct FakeEntropy {
    state: AtomicU64,
}

impl FakeEntropy {
    /// The same seed gives the same bytes.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    fn next(&self) -> u64 {
        const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(GOLDEN_GAMMA, Ordering::SeqCst).wrapping_add(GOLDEN_GAMMA);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl Entropy for FakeEntropy {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let draw = |seed| {
            let mut bytes = [0; 20];
            FakeEntropy::seeded(seed).fill(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let entropy = FakeEntropy::seeded(1);
        let (mut first, mut second) = ([0; 20], [0; 20]);
        entropy.fill(&mut first).unwrap();
        entropy.fill(&mut second).unwrap();
        assert_ne!(first, second);
    }
}

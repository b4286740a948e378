//! Which records of a chunk: a bit each.

/// Records of a chunk: so many at most, as offsets are 16 bits; of tests fewer, for they make some.
pub(crate) const CHUNK: u64 = if cfg!(test) { 2_048 } else { 65_536 };

const WORDS: usize = 1024;

/// A bit for each record of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn none() -> Self {
        Self(vec![0; WORDS])
    }

    /// The first `count`.
    pub(crate) fn first(count: usize) -> Self {
        let mut bits = Self::none();
        for (at, word) in bits.0.iter_mut().enumerate() {
            let left = count.saturating_sub(at * 64);
            *word = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
        }
        bits
    }

    pub(crate) fn set(&mut self, offset: u16) {
        if let Some(word) = self.0.get_mut(usize::from(offset >> 6)) {
            *word |= 1 << (offset & 63);
        }
    }

    pub(crate) fn and(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// None of this block of 256.
    pub(crate) fn clear_block(&mut self, block: usize) {
        self.0.iter_mut().skip(block.saturating_mul(4)).take(4).for_each(|word| *word = 0);
    }

    /// Their offsets, in order.
    pub(crate) fn offsets(&self) -> impl DoubleEndedIterator<Item = u16> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let word = *word;
            (0..64_u16)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| u16::try_from(at).unwrap_or(0) << 6 | bit)
        })
    }

    /// As it is stored: sorted offsets if that is shorter, else all bits.
    pub(crate) fn encode(sorted: &[u16]) -> Vec<u8> {
        if sorted.len() * 2 <= WORDS * 8 {
            return sorted.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        }
        let mut bits = Self::none();
        sorted.iter().for_each(|offset| bits.set(*offset));
        bits.0.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Adds what was stored of `count` offsets; `false` if it is not that.
    pub(crate) fn add(&mut self, count: usize, stored: &[u8]) -> bool {
        if count * 2 <= WORDS * 8 {
            if stored.len() != count * 2 {
                return false;
            }
            stored.as_chunks().0.iter().for_each(|offset| self.set(u16::from_be_bytes(*offset)));
            return true;
        }
        let (words, rest) = stored.as_chunks();
        self.0.iter_mut().zip(words).for_each(|(word, stored)| *word |= u64::from_be_bytes(*stored));
        words.len() == WORDS && rest.is_empty()
    }

    /// How many bytes `count` offsets are stored in.
    pub(crate) const fn stored_bytes(count: usize) -> usize {
        if count * 2 <= WORDS * 8 { count * 2 } else { WORDS * 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_stored_and_read_back_however_many() {
        for step in [1_usize, 2, 15, 16, 17, 4_000, 70_000] {
            let offsets: Vec<u16> = (0..=u16::MAX).step_by(step).collect();
            let stored = Bits::encode(&offsets);
            assert_eq!(stored.len(), Bits::stored_bytes(offsets.len()));
            let mut bits = Bits::none();
            assert!(bits.add(offsets.len(), &stored));
            assert!(bits.offsets().eq(offsets.iter().copied()));
            assert!(bits.offsets().rev().eq(offsets.iter().rev().copied()));
            assert!(
                !Bits::none().add(offsets.len() + 1, &stored) || Bits::stored_bytes(offsets.len()) == 8192
            );
        }
    }

    #[test]
    fn the_first_few_and_blocks() {
        for count in [0, 1, 63, 64, 65, 300, 65_536] {
            assert_eq!(Bits::first(count).offsets().count(), count);
        }
        let mut bits = Bits::first(65_536);
        bits.clear_block(1);
        assert!(bits.offsets().eq((0..256).chain(512..=u16::MAX)));
        bits.and(&Bits::first(600));
        assert!(bits.offsets().eq((0..256).chain(512..600)));
    }
}

//! Hashes for what the exploration keeps: quick in a build without optimisation.

use std::hash::Hasher;

/// 64 well-mixed bits for a state. What is written are small numbers, so eight of them are mixed in at once.
#[derive(Default)]
pub struct Wide {
    mixed: (u64, u64),
    word: u64,
    written: u32,
}

impl Wide {
    fn mix(&mut self, word: u64) {
        let (a, b) = self.mixed;
        let a = (a.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        let b = (b.rotate_left(23) ^ word ^ a >> 32).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.mixed = (a, b);
    }
}

impl Hasher for Wide {
    fn finish(&self) -> u64 {
        let mut last = Self { ..*self };
        last.mix(self.word ^ u64::from(self.written) << 56);
        let (a, b) = last.mixed;
        let folded =
            u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93 | 1);
        (folded as u64) ^ ((folded >> 64) as u64)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.word = self.word << 8 | u64::from(byte);
        self.written += 1;
        if self.written.is_multiple_of(8) {
            self.mix(self.word);
            self.word = 0;
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word ^ u64::from(self.written) << 56);
    }

    // Which of an enum's variants it is.
    fn write_isize(&mut self, word: isize) {
        self.write_u8(word as u8);
    }

    // How long something is: always as long.
    fn write_usize(&mut self, word: usize) {
        self.write_u8(word as u8);
    }
}

/// A quick hash for small keys.
#[derive(Default)]
pub struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

//! What happened, as a hash that must be the same for the same seed, and as text when one seed is replayed.

/// The trace of one world.
pub struct Trace {
    hash: u64,
    events: u64,
    is_printed: bool,
}

impl Trace {
    /// An empty trace; printed line by line if asked.
    pub fn new(is_printed: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, is_printed }
    }

    /// Something happened to `node`: `kind` and `value` go into the hash, `text` is for people.
    pub fn note(&mut self, now: u64, node: usize, kind: u8, value: u64, text: impl FnOnce() -> String) {
        for word in [now, (node as u64) << 8 | u64::from(kind), value] {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        self.events += 1;
        if self.is_printed {
            let text = text();
            if !text.is_empty() {
                println!("{:>9} node {node:>2}  {text}", now);
            }
        }
    }

    /// Hash of everything noted.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

//! Thousands of seeds, and the proof that the oracle notices.

mod seeds;
mod teeth;

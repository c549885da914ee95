//! A small fuzzer without feedback: every input of a corpus, and mutations that depend on the round alone.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Mutations in a test run; `SALLYPORT_FUZZ_ROUNDS` sets another number.
const ROUNDS: u64 = 3_000;

const INPUT_BYTES_MAX: usize = 16 << 10;

/// Bytes that matter to some format or other.
const MARKS: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'#,.:;*/\\[]{}=@-09azAZ";

/// Runs `target` over its corpus and over mutations of it; a panic fails with the input that caused it.
pub(super) fn drive(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    let rounds = std::env::var("SALLYPORT_FUZZ_ROUNDS").map_or(ROUNDS, |n| n.parse().expect("a number of rounds"));
    for input in &corpus {
        try_one(name, target, input);
    }
    let words: Vec<&[u8]> = corpus.iter().flat_map(|input| words(input)).collect();
    for round in 0..rounds {
        let mut random = Random::of(round);
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &mut random, &corpus, &words);
        }
        input.truncate(INPUT_BYTES_MAX);
        try_one(name, target, &input);
    }
}

fn try_one(name: &str, target: fn(&[u8]), input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("fuzz-{name}"));
        fs::write(&kept, input).unwrap();
        let shown: String = input.escape_ascii().to_string().chars().take(2_000).collect();
        panic!(
            "{name} does not hold for this; it is kept in {}, and belongs into its corpus:\n{shown}",
            kept.display()
        );
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs of letters and digits, which are what a format's words look like.
fn words(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| (2..=24).contains(&word.len()))
}

fn mutate(input: &mut Vec<u8>, random: &mut Random, corpus: &[Vec<u8>], words: &[&[u8]]) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(32) + 1);
    match random.below(10) {
        0 | 1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 if at < input.len() => input[at] = MARKS[random.below(MARKS.len())],
        3 => input.insert(at, MARKS[random.below(MARKS.len())]),
        4 => drop(input.drain(at..end)),
        5 => {
            let piece = input[at..end].to_vec();
            splice(input, random, &piece);
        }
        6 if !words.is_empty() => drop(input.splice(at..end, words[random.below(words.len())].iter().copied())),
        7 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        8 => input.truncate(at),
        _ => {
            let piece = vec![MARKS[random.below(MARKS.len())]; 1 + random.below(300)];
            splice(input, random, &piece);
        }
    }
}

fn splice(input: &mut Vec<u8>, random: &mut Random, piece: &[u8]) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, piece.iter().copied());
}

/// Xorshift: the same numbers for the same round, everywhere.
struct Random(u64);

impl Random {
    fn of(round: u64) -> Self {
        Self(round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % limit.max(1) as u64).unwrap()
    }
}

//! The network of the first stage: static vectors of the second stage's tokens, narrow convolutions, and one number that says how nearly
//! the second stage would raise a label. Plain arithmetic in f32; `docs/classifier-format.md` says it exactly enough to be computed
//! elsewhere. Knows ids and numbers, no text, no file and no threshold.

mod marks;
mod matrix;

use self::marks::{FACTS, MARKS, Marks};
use self::matrix::{Matrix, Reader};
use crate::infer::encode::Run;
use crate::infer::manifest::{FirstStage, Shape};

/// Taps of the convolutions after the first.
const TAPS: usize = 5;

/// A network that is ready; shared by threads.
#[derive(Debug)]
pub struct Student {
    shape: Shape,
    outputs: usize,
    words: Box<[i8]>,
    /// What a step of each column of `words` is worth.
    steps: Box<[f32]>,
    /// What each mark adds to a token's vector.
    marks: [Box<[f32]>; MARKS.len()],
    first: Matrix,
    layers: Vec<Layer>,
    context: Matrix,
    /// For each label how much a token's word counts, then what it says.
    labels: Matrix,
    whole: Matrix,
    last: Matrix,
}

/// A convolution of each column by itself, then a mixture of the columns.
#[derive(Debug)]
struct Layer {
    /// `[tap][column]`, then the bias.
    spread: Box<[f32]>,
    mix: Matrix,
    shift: Matrix,
}

/// What one thread computes in.
#[derive(Debug, Default)]
pub struct Scratch {
    marks: Marks,
    vectors: Vec<f32>,
    hidden: Vec<f32>,
    spread: Vec<f32>,
    mixed: Vec<f32>,
    labels: Vec<f32>,
}

/// The file's length is not the one that the manifest's numbers make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {found} bytes, and the manifest's tokens, width, hidden, layers and labels make {expected}")]
pub struct SizeError {
    /// The file's length.
    pub found: usize,
    /// What it must be.
    pub expected: usize,
}

impl Student {
    /// Reads a network for `outputs` labels.
    ///
    /// # Errors
    /// If there are more or fewer bytes than the numbers of the manifest make.
    pub fn new(stage: &FirstStage, outputs: usize, bytes: &[u8]) -> Result<Student, SizeError> {
        let shape @ Shape { tokens, width, hidden, layers } = stage.shape;
        let table = tokens * width;
        let expected = table + 4 * numbers(shape, outputs);
        if bytes.len() != expected {
            return Err(SizeError { found: bytes.len(), expected });
        }
        let (words, numbers) = bytes.split_at(table);
        let mut reader = Reader::new(numbers);
        Ok(Student {
            shape,
            outputs,
            words: words.iter().map(|byte| byte.cast_signed()).collect(),
            steps: reader.take(width),
            marks: MARKS.map(|count| reader.take(count * width)),
            first: reader.matrix(3 * width, hidden),
            context: reader.matrix(2 * hidden + 2 * FACTS, hidden),
            layers: (1..layers)
                .map(|_| Layer {
                    spread: reader.take((TAPS + 1) * hidden),
                    mix: reader.matrix(hidden, hidden),
                    shift: reader.matrix(hidden, hidden),
                })
                .collect(),
            labels: reader.matrix(hidden, 2 * outputs),
            whole: reader.matrix(3 * hidden + 2 * FACTS, hidden),
            last: reader.matrix(hidden, outputs),
        })
    }

    /// How nearly the second stage would raise a label on this input, as a logit. An input without a window's tokens is infinitely
    /// suspect, and so is one with a token that the network does not have.
    #[must_use]
    pub fn logit(&self, run: Run<'_>, scratch: &mut Scratch) -> f32 {
        let Shape { width, hidden, .. } = self.shape;
        let Scratch { marks, vectors, hidden: h, spread, mixed, labels } = scratch;
        if !marks.find(run.ids, run.types) || !self.look_up(run.ids, marks, vectors) {
            return f32::INFINITY;
        }
        let count = run.ids.len();
        h.resize(count * hidden, 0.0);
        // A row of three vectors begins at each token's left neighbour: `vectors` has an empty one at either end.
        self.first.rows(vectors, width, h);
        h.iter_mut().for_each(|value| *value = value.max(0.0));

        let mut pooled = Vec::with_capacity(3 * hidden + 2 * FACTS);
        for segment in 0..2 {
            mean(h, hidden, marks.part(segment), &mut pooled);
        }
        pooled.extend_from_slice(marks.facts());
        let context = relu(self.context.product(&pooled));
        for (layer, reach) in self.layers.iter().zip(std::iter::once(1).chain(std::iter::repeat(3))) {
            layer.spread(h, hidden, reach, spread);
            let shift = layer.shift.product(&context);
            mixed.resize(count * hidden, 0.0);
            layer.mix.rows(spread, hidden, mixed);
            for (row, mixed) in h.chunks_exact_mut(hidden).zip(mixed.chunks_exact(hidden)) {
                for ((value, mixed), shift) in row.iter_mut().zip(mixed).zip(&shift) {
                    *value += (mixed + shift).max(0.0);
                }
            }
        }

        let window = marks.part(2);
        let inside = &h[window.start * hidden..window.end * hidden];
        labels.resize(window.len() * self.labels.outer(), 0.0);
        self.labels.rows(inside, hidden, labels);
        pooled.clear();
        pooled.resize(hidden, 0.0);
        for row in inside.chunks_exact(hidden) {
            pooled.iter_mut().zip(row).for_each(|(highest, value)| *highest = highest.max(*value));
        }
        mean(h, hidden, window, &mut pooled);
        pooled.extend_from_slice(&context);
        pooled.extend_from_slice(marks.facts());
        let mut logits = self.last.product(&relu(self.whole.product(&pooled)));
        for (n, logit) in logits.iter_mut().enumerate() {
            *logit += attended(labels, self.labels.outer(), n, self.outputs + n);
        }
        smooth_maximum(&logits)
    }

    /// Each token's vector with what its marks add, and an empty one at either end; `false` if a token is not in the table.
    fn look_up(&self, ids: &[i64], marks: &Marks, vectors: &mut Vec<f32>) -> bool {
        let Shape { tokens, width, .. } = self.shape;
        vectors.clear();
        vectors.resize((ids.len() + 2) * width, 0.0);
        let rows = vectors[width..].chunks_exact_mut(width);
        for ((id, mark), row) in ids.iter().zip(marks.rows()).zip(rows) {
            let Some(id) = usize::try_from(*id).ok().filter(|id| *id < tokens) else { return false };
            let word = &self.words[id * width..][..width];
            for ((value, &byte), step) in row.iter_mut().zip(word).zip(&*self.steps) {
                *value = f32::from(byte) * step;
            }
            for (table, &n) in self.marks.iter().zip(mark) {
                row.iter_mut().zip(&table[n * width..]).for_each(|(value, added)| *value += added);
            }
        }
        true
    }
}

impl Layer {
    /// The convolution of each column; what is beyond either end is 0.
    fn spread(&self, rows: &[f32], hidden: usize, reach: usize, out: &mut Vec<f32>) {
        let (taps, bias) = self.spread.split_at(TAPS * hidden);
        out.clear();
        rows.chunks_exact(hidden).for_each(|_| out.extend_from_slice(bias));
        for (tap, weights) in taps.chunks_exact(hidden).enumerate() {
            // The tap in the middle stands on the token itself.
            let (before, after) = ((TAPS / 2).saturating_sub(tap) * reach, tap.saturating_sub(TAPS / 2) * reach);
            let from = rows.get(after * hidden..).unwrap_or_default().chunks_exact(hidden);
            let to = out.get_mut(before * hidden..).unwrap_or_default().chunks_exact_mut(hidden);
            for (to, from) in to.zip(from) {
                for ((to, from), weight) in to.iter_mut().zip(from).zip(weights) {
                    *to += from * weight;
                }
            }
        }
    }
}

/// How many numbers follow the table of words.
fn numbers(Shape { width, hidden, layers, .. }: Shape, outputs: usize) -> usize {
    let matrix = |inner, outer| (inner + 1) * outer;
    width
        + MARKS.iter().sum::<usize>() * width
        + matrix(3 * width, hidden)
        + matrix(2 * hidden + 2 * FACTS, hidden)
        + (layers - 1) * ((TAPS + 1) * hidden + 2 * matrix(hidden, hidden))
        + matrix(hidden, 2 * outputs)
        + matrix(3 * hidden + 2 * FACTS, hidden)
        + matrix(hidden, outputs)
}

fn relu(mut values: Vec<f32>) -> Vec<f32> {
    values.iter_mut().for_each(|value| *value = value.max(0.0));
    values
}

/// Appends the mean of some rows.
fn mean(rows: &[f32], hidden: usize, part: std::ops::Range<usize>, out: &mut Vec<f32>) {
    let (at, share) = (out.len(), 1.0 / part.len().max(1) as f32);
    out.resize(at + hidden, 0.0);
    let sums = &mut out[at..];
    for row in rows[part.start * hidden..part.end * hidden].chunks_exact(hidden) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    sums.iter_mut().for_each(|sum| *sum *= share);
}

/// The mean of the column `value`, weighed by the softmax of the column `weight`.
fn attended(rows: &[f32], wide: usize, weight: usize, value: usize) -> f32 {
    let highest = rows.chunks_exact(wide).fold(f32::NEG_INFINITY, |highest, row| highest.max(row[weight]));
    let (mut sum, mut total) = (0.0, 0.0);
    for row in rows.chunks_exact(wide) {
        let share = (row[weight] - highest).exp();
        sum += share * row[value];
        total += share;
    }
    sum / total
}

/// log Σ exp.
fn smooth_maximum(values: &[f32]) -> f32 {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    highest + values.iter().map(|value| (value - highest).exp()).sum::<f32>().ln()
}

//! Products with matrices, laid out so that the compiler can do eight columns of four rows at once. Knows numbers only.

/// Columns that are done at once.
const LANES: usize = 8;

/// Rows that are done at once.
const ROWS: usize = 4;

/// A matrix with a bias: `out = bias + in × weight`.
#[derive(Debug)]
pub(super) struct Matrix {
    inner: usize,
    outer: usize,
    /// Blocks of eight columns; in a block, eight numbers for each row of the matrix. What is missing from the last block is 0.
    blocks: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
}

/// Takes numbers from a file one after the other.
pub(super) struct Reader<'a> {
    bytes: std::slice::ChunksExact<'a, u8>,
}

impl<'a> Reader<'a> {
    /// Little-endian f32; the caller has counted them.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes: bytes.chunks_exact(4) }
    }

    pub(super) fn take(&mut self, count: usize) -> Box<[f32]> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_le_bytes);
        self.bytes.by_ref().take(count).map(number).collect()
    }

    /// The rows of a matrix, then its bias.
    pub(super) fn matrix(&mut self, inner: usize, outer: usize) -> Matrix {
        let (weight, bias) = (self.take(inner * outer), self.take(outer));
        Matrix::new(&weight, &bias)
    }
}

impl Matrix {
    /// `weight` has a row of as many numbers as `bias` for each input.
    fn new(weight: &[f32], bias: &[f32]) -> Matrix {
        let outer = bias.len();
        let lanes = |row: &[f32], block: usize| std::array::from_fn(|lane| row.get(block * LANES + lane).copied().unwrap_or(0.0));
        let count = outer.div_ceil(LANES);
        let rows = || weight.chunks_exact(outer);
        Matrix {
            inner: rows().len(),
            outer,
            blocks: (0..count).flat_map(|block| rows().map(move |row| lanes(row, block))).collect(),
            bias: (0..count).map(|block| lanes(bias, block)).collect(),
        }
    }

    /// Numbers of a result.
    pub(super) fn outer(&self) -> usize {
        self.outer
    }

    /// The product with one row.
    pub(super) fn product(&self, row: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.outer];
        self.rows(row, self.inner, &mut out);
        out
    }

    /// The product with many rows, which begin `stride` numbers apart and may overlap; as many as `out` has room for.
    pub(super) fn rows(&self, input: &[f32], stride: usize, out: &mut [f32]) {
        let row = |n: usize| &input[n * stride..][..self.inner];
        let mut n = 0;
        for out in out.chunks_mut(ROWS * self.outer) {
            match out.len() / self.outer {
                ROWS => self.tile([row(n), row(n + 1), row(n + 2), row(n + 3)], out),
                _ => out.chunks_exact_mut(self.outer).enumerate().for_each(|(k, out)| self.tile([row(n + k)], out)),
            }
            n += ROWS;
        }
    }

    fn tile<const N: usize>(&self, rows: [&[f32]; N], out: &mut [f32]) {
        for (n, (block, bias)) in self.blocks.chunks_exact(self.inner).zip(&self.bias).enumerate() {
            let sums = sums(block, bias, rows);
            let columns = n * LANES..self.outer.min((n + 1) * LANES);
            for (sums, out) in sums.iter().zip(out.chunks_exact_mut(self.outer)) {
                out[columns.clone()].copy_from_slice(&sums[..columns.len()]);
            }
        }
    }
}

/// Eight columns of some rows. Apart from where they are written, so that the sums stay in registers: that is four times as fast.
fn sums<const N: usize>(block: &[[f32; LANES]], bias: &[f32; LANES], rows: [&[f32]; N]) -> [[f32; LANES]; N] {
    let rows = rows.map(|row| &row[..block.len()]);
    let mut sums = [*bias; N];
    for (k, weights) in block.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let value = row[k];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_are_what_one_after_the_other_is() {
        for (inner, outer, count) in [(1, 1, 1), (5, 8, 4), (7, 13, 9), (24, 20, 6)] {
            let number = |n: usize| ((n * 37 + 11) % 23) as f32 / 8.0 - 1.25;
            let weight: Vec<f32> = (0..inner * outer).map(number).collect();
            let bias: Vec<f32> = (0..outer).map(|n| number(n + 5)).collect();
            let input: Vec<f32> = (0..(count + inner)).map(|n| number(n + 3)).collect();
            let matrix = Matrix::new(&weight, &bias);
            let mut out = vec![0.0; count * outer];
            // The rows overlap: each begins one number after the one before.
            matrix.rows(&input, 1, &mut out);
            for n in 0..count {
                for column in 0..outer {
                    let sum: f32 = (0..inner).map(|k| input[n + k] * weight[k * outer + column]).sum();
                    assert!((out[n * outer + column] - bias[column] - sum).abs() < 1e-3, "row {n}, column {column}");
                }
                assert_eq!(matrix.product(&input[n..n + inner]), out[n * outer..(n + 1) * outer]);
            }
        }
    }
}

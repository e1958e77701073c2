//! An ONNX file without its weights: the same graph, whose weights are said to be in another file, at the places where they are in this
//! one. A runtime that is given both takes the weights from where they are; of a whole file it makes a copy first. Knows of the format
//! (protocol buffers, `onnx.proto`) what is needed for that, and no runtime.

use std::ops::Range;

/// What the graph calls the file that holds the weights.
pub(super) const FILE: &str = "weights";

/// Weights of fewer bytes stay in the graph: runtimes look at small ones (shapes, axes) while they load.
const LEAST: usize = 1 << 10;

// Fields of the messages that are looked into.
const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_RAW_DATA: u64 = 9;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;
/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: u64 = 1;

// Wire types.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

/// The graph of `onnx` alone, its weights in [`FILE`], which is to be these same bytes. `None`: it is no model that can be taken apart, or
/// has no weights worth it.
pub(super) fn without_weights(onnx: &[u8]) -> Option<Vec<u8>> {
    let mut found = false;
    let mut model = Vec::new();
    for field in Fields::of(onnx, 0..onnx.len()) {
        let field = field?;
        if field.number != MODEL_GRAPH {
            model.extend_from_slice(&onnx[field.whole]);
            continue;
        }
        let mut graph = Vec::new();
        for field in Fields::of(onnx, field.payload?) {
            let field = field?;
            let tensor = if field.number == GRAPH_INITIALIZER { elsewhere(onnx, field.payload?)? } else { None };
            match tensor {
                Some(tensor) => {
                    found = true;
                    write_bytes(&mut graph, GRAPH_INITIALIZER, &tensor);
                }
                None => graph.extend_from_slice(&onnx[field.whole]),
            }
        }
        write_bytes(&mut model, MODEL_GRAPH, &graph);
    }
    found.then_some(model)
}

/// A tensor whose data is in the file; `None` inside: it is better left as it is.
#[expect(clippy::option_option, reason = "malformed, or not worth it")]
fn elsewhere(onnx: &[u8], tensor: Range<usize>) -> Option<Option<Vec<u8>>> {
    let (mut out, mut data) = (Vec::new(), None);
    for field in Fields::of(onnx, tensor) {
        let field = field?;
        match field.number {
            TENSOR_RAW_DATA => data = Some(field.payload?),
            // It is elsewhere already.
            TENSOR_EXTERNAL_DATA => return Some(None),
            _ => out.extend_from_slice(&onnx[field.whole]),
        }
    }
    let Some(data) = data.filter(|data| data.len() >= LEAST) else { return Some(None) };
    let entries = [("location", FILE.to_owned()), ("offset", data.start.to_string()), ("length", data.len().to_string())];
    for (key, value) in entries {
        let mut entry = Vec::new();
        write_bytes(&mut entry, ENTRY_KEY, key.as_bytes());
        write_bytes(&mut entry, ENTRY_VALUE, value.as_bytes());
        write_bytes(&mut out, TENSOR_EXTERNAL_DATA, &entry);
    }
    write_varint(&mut out, TENSOR_DATA_LOCATION << 3 | VARINT);
    write_varint(&mut out, EXTERNAL);
    Some(Some(out))
}

/// One field of a message, by its place in the file.
struct Field {
    number: u64,
    /// With its key.
    whole: Range<usize>,
    /// What it holds, where that is bytes or a message.
    payload: Option<Range<usize>>,
}

/// Goes through a message's fields; gives `None` once and ends where it is malformed.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8], message: Range<usize>) -> Self {
        Fields { bytes, at: message.start, end: message.end }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes[..self.end].get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<Field> {
        let start = self.at;
        let key = self.varint()?;
        let mut payload = None;
        let length = match key & 7 {
            VARINT => self.varint().map(|_| 0)?,
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                payload = Some(self.at..self.at.checked_add(length)?);
                length
            }
            // Numbers of 8 and of 4 bytes.
            1 => 8,
            5 => 4,
            _ => return None,
        };
        self.at = self.at.checked_add(length).filter(|at| *at <= self.end)?;
        Some(Field { number: key >> 3, whole: start..self.at, payload })
    }
}

impl Iterator for Fields<'_> {
    type Item = Option<Field>;

    fn next(&mut self) -> Option<Option<Field>> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.at = self.end;
        }
        Some(field)
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_varint(out, number << 3 | LENGTH);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shipped() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/classifiers/collapse/model.onnx")).unwrap()
    }

    /// The initializers of a model: where each one's data lies in `file`, which is the model itself or what it points into.
    fn data(model: &[u8]) -> Vec<(Vec<u8>, Range<usize>, bool)> {
        let graph = Fields::of(model, 0..model.len()).flatten().find(|field| field.number == MODEL_GRAPH).unwrap();
        let tensors = Fields::of(model, graph.payload.unwrap()).flatten().filter(|field| field.number == GRAPH_INITIALIZER);
        tensors
            .map(|tensor| {
                let (mut rest, mut at, mut entries) = (Vec::new(), 0..0, Vec::new());
                for field in Fields::of(model, tensor.payload.unwrap()).flatten() {
                    match field.number {
                        TENSOR_RAW_DATA => at = field.payload.unwrap(),
                        TENSOR_EXTERNAL_DATA => {
                            let value = Fields::of(model, field.payload.unwrap()).flatten().nth(1).unwrap();
                            entries.push(String::from_utf8(model[value.payload.unwrap()].to_vec()).unwrap());
                        }
                        TENSOR_DATA_LOCATION => {}
                        _ => rest.extend_from_slice(&model[field.whole]),
                    }
                }
                let external = !entries.is_empty();
                if external {
                    assert_eq!(entries[0], FILE);
                    let [start, length]: [usize; 2] = [1, 2].map(|at: usize| entries[at].parse().unwrap());
                    at = start..start + length;
                }
                (rest, at, external)
            })
            .collect()
    }

    #[test]
    fn the_shipped_model_is_told_where_its_weights_are() {
        let whole = shipped();
        let graph = without_weights(&whole).unwrap();
        assert!(graph.len() < whole.len() / 100, "{} bytes of {}", graph.len(), whole.len());
        let (before, after) = (data(&whole), data(&graph));
        assert_eq!(before.len(), after.len());
        assert!(before.len() > 50);
        for ((one, place, _), (other, found, external)) in before.iter().zip(&after) {
            assert_eq!(one, other, "name, shape and type stay");
            assert_eq!(*external, place.len() >= LEAST);
            if *external {
                assert_eq!(place, found);
            } else {
                assert_eq!(whole[place.clone()], graph[found.clone()]);
            }
        }
        assert_eq!(without_weights(&graph), None, "there is nothing left to take out");
    }

    #[test]
    fn what_is_no_model_is_left_alone() {
        let whole = shipped();
        assert_eq!(without_weights(b""), None);
        assert_eq!(without_weights(b"no model at all"), None);
        assert_eq!(without_weights(&whole[..whole.len() / 2]), None, "half of one");
        // A length that reaches past the end, and one past every end.
        assert_eq!(without_weights(&[0x3A, 0x05, 0x2A]), None);
        assert_eq!(without_weights(&[0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = without_weights(&bytes);
        }

        #[test]
        fn numbers_are_read_as_written(value: u64) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            prop_assert_eq!(Fields::of(&bytes, 0..bytes.len()).varint(), Some(value));
        }
    }
}

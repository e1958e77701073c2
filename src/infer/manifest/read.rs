//! Reads a manifest's keys and notes what is wrong with each. Knows TOML tables, no files.

use super::{FirstStage, Golden, HashedFile, Layout, Manifest, Output, Quantization, Shape, Threshold, is_calibrated};
use crate::document::{Item, Table};
use crate::score::Label;

pub(super) fn manifest(root: Table<'_>) -> Option<Manifest> {
    if let Some(format) = root.require("format", "write format = 1")
        && format.integer(i64::MIN..=i64::MAX).is_some_and(|number| number != 1)
    {
        format.problem("this steadfast reads format 1", Some("take the classifier that belongs to this version of steadfast"));
        // What another format means by the other keys is unknown.
        return None;
    }
    let text = |key| root.require(key, "say it in a string").and_then(|item| item.nonempty().map(str::to_owned));
    let (name, version, license, created) = (text("name"), text("version"), text("license"), text("created"));
    let card = root.require("card", "name the model card").and_then(|item| plain_name(&item));
    let model = section(&root, "model");
    let model = model.map(|table| {
        let file = hashed(&table);
        let opset = table.require("opset", "say which ONNX operator set the model uses").and_then(|item| item.integer(1..=64));
        let kinds = [("int8", Quantization::Int8), ("fp32", Quantization::Fp32)];
        let quantization = table.require("quantization", "write \"int8\" or \"fp32\"").and_then(|item| item.choice(&kinds));
        table.finish();
        Some((file?, u32::try_from(opset?).ok()?, quantization?))
    });
    let tokenizer = section(&root, "tokenizer").map(|table| {
        let file = hashed(&table);
        table.finish();
        file
    });
    let layout = section(&root, "input").map(|table| {
        let count = |key, range| table.require(key, "say how many tokens").and_then(|item| item.count(range));
        let layout = (count("persona_tokens", 0..=512), count("user_tokens", 0..=512), count("window_tokens", 8..=4096));
        let stride = table.item("window_stride").map(|item| item.count(1..=layout.2.unwrap_or(usize::MAX)));
        table.finish();
        let window = layout.2?;
        let stride = stride.unwrap_or(Some(window - window / 4))?;
        Some(Layout { persona: layout.0?, user: layout.1?, window, stride })
    });
    let outputs = outputs(&root);
    let golden = golden(&root, &outputs);
    let texts = golden.as_ref().map(Vec::len);
    let first_stage = root.item("first_stage").map(|item| item.table().and_then(|table| first_stage(&table, texts)));
    root.finish();
    let (model, opset, quantization) = model??;
    Some(Manifest {
        name: name?,
        version: version?,
        license: license?,
        created: created?,
        card: card?,
        model,
        opset,
        quantization,
        tokenizer: tokenizer??,
        layout: layout??,
        outputs: outputs.into_iter().collect::<Option<_>>()?,
        first_stage: first_stage.map_or(Some(None), |stage| stage.map(Some))?,
        golden: golden?,
    })
}

fn section<'d>(root: &Table<'d>, key: &str) -> Option<Table<'d>> {
    root.require(key, &format!("add the [{key}] section")).and_then(|item| item.table())
}

/// `texts`: how many golden texts there are, if that is known.
fn first_stage(table: &Table<'_>, texts: Option<usize>) -> Option<FirstStage> {
    const HELP: &str = "take it from the step that made the network";
    let network = hashed(table);
    let count = |key, range| table.require(key, HELP).and_then(|item| item.count(range));
    let tokens = count("tokens", 1..=1 << 20);
    let width = count("width", 1..=1024);
    let hidden = count("hidden", 1..=1024);
    let layers = count("layers", 1..=8);
    let clean_below = table.require("clean_below", HELP).and_then(|item| item.float(-1e6..=1e6));
    let golden = table.require("golden", "write the network's logit for each golden text").and_then(|item| {
        let logits: Vec<Option<f64>> = item.items().iter().map(|logit| logit.float(-1e6..=1e6)).collect();
        let logits: Vec<f64> = logits.into_iter().collect::<Option<_>>()?;
        if texts.is_some_and(|texts| texts != logits.len()) {
            item.problem("must have a number for each [[golden]] text, in their order", Some(HELP));
            return None;
        }
        Some(logits.into_iter().map(|logit| logit as f32).collect())
    });
    table.finish();
    let shape = Shape { tokens: tokens?, width: width?, hidden: hidden?, layers: layers? };
    Some(FirstStage { network: network?, shape, clean_below: clean_below? as f32, golden: golden? })
}

fn hashed(table: &Table<'_>) -> Option<HashedFile> {
    let file = table.require("file", "name a file beside the manifest").and_then(|item| plain_name(&item));
    let sha256 = table.require("sha256", "write what `sha256sum` prints for the file").and_then(|item| {
        let text = item.str()?;
        let good = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !good {
            item.problem("must be 64 lower-case hexadecimal digits", Some("write what `sha256sum` prints for the file"));
        }
        good.then(|| text.to_owned())
    });
    Some(HashedFile { file: file?, sha256: sha256? })
}

/// A file's name without a folder: a manifest cannot reach outside its directory.
fn plain_name(item: &Item<'_>) -> Option<String> {
    let name = item.nonempty()?;
    if name.contains(['/', '\\', '\0']) || name == ".." || name == "." {
        item.problem("must be the name of a file beside the manifest, without a folder", None);
        return None;
    }
    Some(name.to_owned())
}

/// One entry per `[[label]]`, `None` for those with a problem.
fn outputs(root: &Table<'_>) -> Vec<Option<Output>> {
    let tables = root.require("label", "add a [[label]] for each output of the model, in their order").map(|item| item.tables());
    let mut seen: Vec<Label> = Vec::new();
    let mut outputs = Vec::new();
    for table in tables.unwrap_or_default() {
        let names = Label::ALL.map(|label| (label.as_str(), label));
        let label = table.require("name", "name the label").and_then(|item| {
            let label = item.choice(&names)?;
            if seen.contains(&label) {
                item.problem("the label was named before", Some("a model has one output for a label"));
                return None;
            }
            seen.push(label);
            Some(label)
        });
        let calibration =
            table.require("calibration", "write { scale = 1.0, bias = 0.0 } for none").and_then(|item| item.table());
        let calibration = calibration.and_then(|table| {
            // A scale of 0 or below would make the score say nothing, or the opposite.
            let scale = table.require("scale", "1.0 changes nothing").and_then(|item| item.float(1e-6..=1e6));
            let bias = table.require("bias", "0.0 changes nothing").and_then(|item| item.float(-1e6..=1e6));
            table.finish();
            Some((scale? as f32, bias? as f32))
        });
        let thresholds = thresholds(&table);
        table.finish();
        outputs.push(label.zip(calibration).zip(thresholds).map(|((label, (scale, bias)), thresholds)| Output {
            label,
            scale,
            bias,
            thresholds,
        }));
    }
    outputs
}

fn thresholds(label: &Table<'_>) -> Option<Vec<Threshold>> {
    let help = "`at_least = \"calibrated\"` needs the threshold for a false_positive_rate of 0.001";
    let item = label.require("thresholds", help)?;
    let threshold = |table: Table<'_>| {
        let rate =
            table.require("false_positive_rate", "say for which rate it was chosen").and_then(|item| item.float(1e-9..=1.0));
        let at = table.require("at", "say from which probability").and_then(|item| item.float(f64::MIN_POSITIVE..=1.0));
        let upper_bound = table.require("upper_bound", "say the rate's 95 % upper bound").and_then(|item| item.float(0.0..=1.0));
        let benign = table.require("benign", "say on how many benign windows").and_then(|item| item.count(1..=usize::MAX));
        table.finish();
        Some(Threshold { false_positive_rate: rate?, at: at? as f32, upper_bound: upper_bound?, benign: benign? as u64 })
    };
    let thresholds: Vec<Option<Threshold>> = item.tables().into_iter().map(threshold).collect();
    let mut thresholds: Vec<Threshold> = thresholds.into_iter().collect::<Option<_>>()?;
    thresholds.sort_by(|a, b| b.false_positive_rate.total_cmp(&a.false_positive_rate));
    if thresholds.windows(2).any(|pair| pair[1].false_positive_rate == pair[0].false_positive_rate || pair[1].at < pair[0].at) {
        item.problem("a lower false-positive rate must have a higher threshold, and each rate one", None);
        return None;
    }
    if !thresholds.iter().any(|threshold| is_calibrated(threshold.false_positive_rate)) {
        item.problem("none is for a false_positive_rate of 0.001", Some(help));
        return None;
    }
    Some(thresholds)
}

fn golden(root: &Table<'_>, outputs: &[Option<Output>]) -> Option<Vec<Golden>> {
    let help = "add a [[golden]] text with its probabilities: it shows that model, tokenizer and runtime fit together";
    let tables = root.require("golden", help)?.tables();
    let labels: Option<Vec<Label>> = outputs.iter().map(|output| output.as_ref().map(|output| output.label)).collect();
    let one = |table: Table<'_>| {
        let part = |key: &str| match table.item(key) {
            Some(item) => item.str().map(str::to_owned),
            None => Some(String::new()),
        };
        let (persona, user) = (part("persona"), part("user"));
        let text = table.require("text", "write the window").and_then(|item| item.nonempty().map(str::to_owned));
        let probabilities = table.require("probabilities", "write a probability for each label").and_then(|item| item.table());
        let probabilities = probabilities.and_then(|table| {
            // With a broken label list there is nothing to compare with; its own problems are already noted.
            let Some(labels) = &labels else {
                let _ = table.entries();
                return None;
            };
            let of =
                |label: &Label| table.require(label.as_str(), "write its probability").and_then(|item| item.float(0.0..=1.0));
            let values: Vec<Option<f64>> = labels.iter().map(of).collect();
            table.finish();
            values.into_iter().map(|value| value.map(|value| value as f32)).collect()
        });
        table.finish();
        Some(Golden { persona: persona?, user: user?, text: text?, probabilities: probabilities? })
    };
    let golden: Vec<Option<Golden>> = tables.into_iter().map(one).collect();
    golden.into_iter().collect()
}

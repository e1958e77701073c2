# The commands of the README, each complete in itself on a fresh Debian machine with Rust, Python and the package registries.
.PHONY: demo test lint bench fuzz evaluate drift reference runtime clean

## demo: watch a model collapse in front of you and be stopped
demo: runtime
	cargo run --release --quiet -- demo

## test: everything that CI runs
test:
	scripts/test

## lint: format, clippy, documentation, licences
lint:
	scripts/lint

## runtime: fetch ONNX Runtime (a wheel from PyPI, pinned by hash)
runtime:
	scripts/fetch-runtime

## bench: the gateway against nginx and its floors, as one table each (docs/performance.md); `cargo bench` measures the parts as well
bench: runtime
	cargo bench --bench gateway

## fuzz: every parser under libFuzzer for ten minutes, for a nightly job; `make test` in CI mutates the recordings for a minute
fuzz:
	scripts/fuzz

## evaluate: measure the classifier on data used neither for training nor for thresholds
evaluate:
	scripts/evaluate

## drift: measure the drift charts on real text (docs/drift.md); minutes on one core
drift:
	scripts/drift

## reference: write docs/configuration.md from the types in src/config
reference:
	scripts/reference

clean:
	cargo clean

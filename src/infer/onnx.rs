//! ONNX models through `ort`: the one file that names it. Loads the native library from where [`runtime`](super::runtime) finds it (or
//! uses the one that the program is linked with), or falls back on tract where that is compiled in. Knows tensors, not texts or labels.
//!
//! `ort` panics when it is used while the library is missing, so everything here begins with an [`Engine`], and an engine exists only
//! once a library is loaded. A process has one: the choice is made once. So is the attempt to load a library: after one that failed, `ort`
//! (2.0.0-rc.14) takes its uninitialised handle for a library. Files are therefore looked at before one is tried, and none after it.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;

use crate::infer::encode::Run;
#[cfg(all(feature = "load-dynamic", not(feature = "tract-only")))]
use crate::infer::runtime::{Candidates, examine};
use crate::infer::runtime::{HELP, Surroundings};

#[cfg(all(feature = "download-binaries", any(feature = "load-dynamic", feature = "tract-only")))]
compile_error!(
    "feature `download-binaries` links ONNX Runtime into the program, which `load-dynamic` and `tract-only` rule out: build with \
     `--no-default-features --features server,redis,download-binaries`"
);

const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];
const OUTPUT: &str = "logits";

/// Which implementation runs models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// The native library; where it is missing, tract, if that is compiled in.
    #[default]
    Auto,
    /// The native library.
    OnnxRuntime,
    /// Pure Rust: slower, needs no library. Compiled in by the feature `tract`.
    Tract,
}

impl Runtime {
    /// Every choice with its name in the configuration.
    pub const NAMES: [(&'static str, Runtime); 3] =
        [("auto", Runtime::Auto), ("onnxruntime", Runtime::OnnxRuntime), ("tract", Runtime::Tract)];
}

/// A loaded implementation, from which models are made.
#[derive(Clone)]
pub struct Engine {
    environment: Environment,
    tract: bool,
    name: String,
}

/// A model that one thread runs.
pub struct Model {
    session: Session,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No library was found.
    #[error("ONNX Runtime was not found in {folders}; {HELP}")]
    Missing {
        /// The folders that were looked in.
        folders: String,
    },
    /// Libraries were found and none could be loaded.
    #[error("ONNX Runtime could not be loaded: {reasons}; {HELP}")]
    Unusable {
        /// Each library and what was wrong with it.
        reasons: String,
    },
    /// The feature is off.
    #[error("this program was built without tract; use runtime = \"onnxruntime\", or build with `--features tract`")]
    NoTract,
    /// Neither loaded nor linked.
    #[error("this program was built without ONNX Runtime; use runtime = \"tract\", or build with `--features load-dynamic`")]
    NoOnnxRuntime,
    /// A library was tried before and failed; `ort` stands no second attempt.
    #[error("{reason}; then start this process again")]
    Spent {
        /// What the attempt said.
        reason: String,
    },
    /// Another one is running.
    #[error("this process already runs models with {running}; restart it to change the runtime")]
    Running {
        /// The one that is running.
        running: String,
    },
    /// It was loaded and does not start.
    #[error("{name} does not start: {reason}")]
    Start {
        /// The implementation.
        name: String,
        /// What it says.
        reason: String,
    },
}

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The runtime refuses it.
    #[error("cannot be loaded: {0}")]
    Load(String),
    /// It has other inputs or outputs than the layout asks for.
    #[error("has the {what} {found}, and not {expected}")]
    Shape {
        /// Inputs or output.
        what: &'static str,
        /// What the model has.
        found: String,
        /// What it must have.
        expected: String,
    },
    /// It failed.
    #[error("{0}")]
    Run(String),
}

/// The engine of this process. `ort` allows one environment in a process's life, so it is never given back.
static PROCESS: Mutex<Process> = Mutex::new(Process { running: None, failed: None });

struct Process {
    running: Option<Engine>,
    /// What the one attempt to load a library said.
    failed: Option<String>,
}

impl Engine {
    /// The process's engine; loads it at the first call. Blocking.
    ///
    /// The builds of ONNX Runtime that its maker publishes (1.29 and later) report to it from the moment they are loaded. What can be
    /// switched off here is; for the rest `ORT_DISABLE_TELEMETRY=1` must stand in the environment before the process starts, which the
    /// program sees to and users of the library must.
    ///
    /// # Errors
    /// If no implementation can be loaded, or if another than the one asked for is already running. Where no library was found, a later
    /// call looks again.
    pub fn start(choice: Runtime, surroundings: &Surroundings) -> Result<Engine, RuntimeError> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &process.running {
            let fits = match choice {
                Runtime::Auto => true,
                Runtime::OnnxRuntime => !engine.tract,
                Runtime::Tract => engine.tract,
            };
            return if fits { Ok(engine.clone()) } else { Err(RuntimeError::Running { running: engine.name.clone() }) };
        }
        let engine = match choice {
            Runtime::OnnxRuntime => native(surroundings, &mut process.failed),
            Runtime::Tract => tract(),
            Runtime::Auto => match native(surroundings, &mut process.failed) {
                Err(error) if cfg!(feature = "tract") && !matches!(error, RuntimeError::Start { .. }) => tract(),
                other => other,
            },
        }?;
        process.running = Some(engine.clone());
        Ok(engine)
    }

    /// The implementation and its version, for `build_info`: `onnxruntime 1.32.0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a model from an ONNX file, for one thread and one input at a time, and checks that it has the three inputs
    /// and `outputs` logits.
    ///
    /// # Errors
    /// If the runtime refuses the model, or if it has another shape.
    pub fn load(&self, onnx: &Path, outputs: usize) -> Result<Model, ModelError> {
        let builder = Session::builder(&self.environment).map_err(refused)?;
        let mut builder = self.options(builder)?;
        // ONNX Runtime reads a file piece by piece, and would copy bytes that it is given. The other implementation takes bytes alone.
        let session = if self.tract {
            let bytes = std::fs::read(onnx).map_err(|error| ModelError::Load(error.to_string()))?;
            builder.commit_from_memory(&bytes).map_err(refused)?
        } else {
            builder.commit_from_file(onnx).map_err(refused)?
        };
        let mut found: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
        found.sort_unstable();
        let mut expected = INPUTS;
        expected.sort_unstable();
        if found != expected {
            let (found, expected) = (found.join(", "), expected.join(", "));
            return Err(ModelError::Shape { what: "inputs", found, expected });
        }
        let output = session.outputs().iter().find(|output| output.name() == OUTPUT);
        let width = output.and_then(|output| output.dtype().tensor_shape()?.last().copied());
        // An output whose width the graph leaves open is checked when it is run.
        if output.is_none() || width.is_some_and(|width| width >= 0 && usize::try_from(width) != Ok(outputs)) {
            let of = |output: &ort::value::Outlet| match output.dtype().tensor_shape() {
                Some(shape) => format!("{} {:?}", output.name(), &shape[..]),
                None => output.name().to_owned(),
            };
            let found = session.outputs().iter().map(of).collect::<Vec<_>>().join(", ");
            return Err(ModelError::Shape { what: "output", found, expected: format!("{OUTPUT} [batch, {outputs}]") });
        }
        Ok(Model { session })
    }

    fn options(&self, builder: SessionBuilder) -> Result<SessionBuilder, ModelError> {
        let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(refused)?;
        if self.tract {
            // It has no threads and none of the other options.
            return Ok(builder);
        }
        // One thread a session, and no busy waiting: the threads of the pool are the parallelism, and a spinning one takes the core of
        // another. The memory pattern is for inputs of one length.
        let builder = builder.with_intra_threads(1).map_err(refused)?;
        let builder = builder.with_intra_op_spinning(false).map_err(refused)?;
        let builder = builder.with_inter_op_spinning(false).map_err(refused)?;
        let builder = builder.with_memory_pattern(false).map_err(refused)?;
        if needs_precise_products() { builder.with_precise_qmm().map_err(refused) } else { Ok(builder) }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Model {
    /// Runs one input; `logits` is overwritten and must have as many places as the model has outputs.
    ///
    /// # Errors
    /// If the runtime fails, or if it gives another number of logits.
    pub fn run(&mut self, run: Run<'_>, logits: &mut [f32]) -> Result<(), ModelError> {
        let failed = |error: ort::Error| ModelError::Run(error.to_string());
        let shape = [1, run.ids.len()];
        let tensor = |row| TensorRef::from_array_view((shape, row)).map_err(failed);
        let [ids, mask, types] = [tensor(run.ids)?, tensor(run.mask)?, tensor(run.types)?];
        let inputs = ort::inputs![INPUTS[0] => ids, INPUTS[1] => mask, INPUTS[2] => types];
        let outputs = self.session.run(inputs).map_err(failed)?;
        let (_, values) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(failed)?;
        if values.len() != logits.len() {
            return Err(ModelError::Run(format!("the model gave {} logits, and not {}", values.len(), logits.len())));
        }
        logits.copy_from_slice(values);
        Ok(())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

/// Without what the error carries to go on with: it cannot be sent to another thread.
fn refused<R>(error: ort::Error<R>) -> ModelError {
    ModelError::Load(error.to_string())
}

#[cfg(all(feature = "load-dynamic", not(feature = "tract-only")))]
fn native(surroundings: &Surroundings, failed: &mut Option<String>) -> Result<Engine, RuntimeError> {
    if let Some(reason) = failed {
        return Err(RuntimeError::Spent { reason: reason.clone() });
    }
    let libraries = match surroundings.candidates() {
        Candidates::Named(library) => vec![library],
        Candidates::Found(libraries) => libraries,
    };
    if libraries.is_empty() {
        let folders: Vec<String> = surroundings.folders().iter().map(|folder| folder.display().to_string()).collect();
        return Err(RuntimeError::Missing { folders: folders.join(", ") });
    }
    let mut reasons = Vec::new();
    for library in libraries {
        match examine(&library) {
            Err(reason) => reasons.push(format!("{} {reason}", library.display())),
            Ok(version) => match ort::init_from(&library) {
                Ok(builder) => {
                    let name = version.map_or_else(|| "onnxruntime".to_owned(), |version| format!("onnxruntime {version}"));
                    return start(builder, false, name);
                }
                Err(error) => {
                    reasons.push(error.to_string());
                    let error = RuntimeError::Unusable { reasons: reasons.join("; ") };
                    *failed = Some(error.to_string());
                    return Err(error);
                }
            },
        }
    }
    Err(RuntimeError::Unusable { reasons: reasons.join("; ") })
}

#[cfg(feature = "tract-only")]
fn native(_: &Surroundings, _: &mut Option<String>) -> Result<Engine, RuntimeError> {
    Err(RuntimeError::NoOnnxRuntime)
}

/// The library is a part of the program.
#[cfg(not(any(feature = "load-dynamic", feature = "tract-only")))]
fn native(_: &Surroundings, _: &mut Option<String>) -> Result<Engine, RuntimeError> {
    start(ort::init(), false, "onnxruntime (linked)".to_owned())
}

#[cfg(feature = "tract")]
fn tract() -> Result<Engine, RuntimeError> {
    ort::set_api(ort_tract::api());
    start(ort::init(), true, "tract".to_owned())
}

#[cfg(not(feature = "tract"))]
fn tract() -> Result<Engine, RuntimeError> {
    Err(RuntimeError::NoTract)
}

fn start(builder: ort::environment::EnvironmentBuilder, tract: bool, name: String) -> Result<Engine, RuntimeError> {
    match builder.with_name("steadfast").with_telemetry(false).build() {
        Ok(environment) => Ok(Engine { environment, tract, name }),
        Err(error) => Err(RuntimeError::Start { name, reason: error.to_string() }),
    }
}

/// Whether this CPU multiplies bytes with saturation unless told otherwise: x86-64 without VNNI. There the faster products would give
/// other scores than the ones that the thresholds were chosen on.
fn needs_precise_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !(std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

#[cfg(all(test, feature = "load-dynamic", not(feature = "tract-only")))]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "STEADFAST_TEST_LIBRARY";

    /// Whether this is a process of its own with that library; starts one if it is not, because a process that has loaded a library, or
    /// has failed to, stays as it is.
    fn alone(test: &str, library: &str) -> bool {
        if std::env::var_os(CHILD).is_some() {
            return true;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = format!("infer::onnx::tests::{test}");
        let child = child.args([&name, "--exact"]).env(CHILD, library).output().unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
        false
    }

    fn surroundings() -> Surroundings {
        Surroundings { named: std::env::var_os(CHILD), ..Surroundings::default() }
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error_each_time() {
        if !alone("a_file_that_is_no_library_is_an_error_each_time", "/nowhere/libonnxruntime.so") {
            return;
        }
        for _ in 0..2 {
            let error = Engine::start(Runtime::OnnxRuntime, &surroundings()).unwrap_err();
            assert!(matches!(error, RuntimeError::Unusable { .. }));
            let message = error.to_string();
            assert!(message.contains("/nowhere/libonnxruntime.so cannot be read") && message.ends_with(HELP), "{message}");
        }
        otherwise_tract();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_that_does_not_load_is_tried_once_and_is_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libonnxruntime.so");
        let machine = if cfg!(target_arch = "aarch64") { b"\xb7\0" } else { b"\x3e\0" };
        std::fs::write(&file, [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0"[..], machine, b"OrtGetApiBase"].concat()).unwrap();
        if !alone("a_library_that_does_not_load_is_tried_once_and_is_no_panic", &file.display().to_string()) {
            return;
        }
        let first = Engine::start(Runtime::OnnxRuntime, &surroundings()).unwrap_err();
        assert!(matches!(first, RuntimeError::Unusable { .. }), "{first}");
        let second = Engine::start(Runtime::OnnxRuntime, &surroundings()).unwrap_err();
        assert!(matches!(second, RuntimeError::Spent { .. }), "{second}");
        assert!(second.to_string().contains("scripts/fetch-runtime"), "{second}");
        otherwise_tract();
    }

    fn otherwise_tract() {
        if cfg!(feature = "tract") {
            assert_eq!(Engine::start(Runtime::Auto, &surroundings()).unwrap().name(), "tract");
            assert!(matches!(Engine::start(Runtime::OnnxRuntime, &surroundings()), Err(RuntimeError::Running { .. })));
        } else {
            assert!(matches!(Engine::start(Runtime::Tract, &surroundings()), Err(RuntimeError::NoTract)));
            assert!(Engine::start(Runtime::Auto, &surroundings()).unwrap_err().to_string().contains(HELP));
        }
    }
}

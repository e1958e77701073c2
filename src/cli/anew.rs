//! What must stand in the environment before the program starts. A program cannot safely set a variable for itself once it runs, so it starts
//! anew once, as the same process.
//!
//! ONNX Runtime's own reports: from 1.29 on the builds that its maker publishes keep an id of the machine in the user's cache, write down
//! which models are run, and send that to their maker. Nothing of it may happen beside conversations, and the one switch that comes early
//! enough is a variable.
//!
//! Memory: glibc raises the size from which it asks the system for a block of its own with each such block that is freed. Parsing a model frees blocks
//! of megabytes, so from then on all that it and its runs take comes from the heap, which keeps what is freed between what is not. Told a size, glibc stays with it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What ONNX Runtime looks at when it is loaded. It also tells a process that has started anew already.
const SWITCH: &str = "ORT_DISABLE_TELEMETRY";
/// What glibc looks at, and the size that it begins with, in bytes. Other allocators do not know it.
const BLOCKS: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// Goes on with the runtime's reports switched off, and with an allocator that gives memory back. Who has set a variable has chosen.
pub(super) fn prepared() {
    if std::env::var_os(SWITCH).is_some() {
        return;
    }
    let program = std::env::current_exe();
    let mut arguments = std::env::args_os();
    let error = match program {
        Ok(program) => {
            let mut command = Command::new(program);
            if let Some(name) = arguments.next() {
                command.arg0(name);
            }
            if std::env::var_os(BLOCKS.0).is_none() {
                command.env(BLOCKS.0, BLOCKS.1);
            }
            // Comes back only where it fails.
            command.args(arguments).env(SWITCH, "1").exec()
        }
        Err(error) => error,
    };
    super::output::say(format!(
        "steadfast: ONNX Runtime's reports to its maker cannot be switched off ({error}); set {SWITCH}=1 and start again"
    ));
}

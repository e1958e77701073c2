//! ONNX Runtime's own reports: from 1.29 on the builds that its maker publishes keep an id of the machine in the user's cache, write down
//! which models are run, and send that to their maker. Nothing of it may happen beside conversations. The one switch that comes early
//! enough is a variable of the environment, which a program cannot safely set for itself once it runs: so it starts anew, as the same process.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What ONNX Runtime looks at when it is loaded.
const SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// Goes on with the runtime's reports switched off. Who has set the switch has chosen.
pub(super) fn without_reports() {
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
            // Comes back only where it fails.
            command.args(arguments).env(SWITCH, "1").exec()
        }
        Err(error) => error,
    };
    super::output::say(format!(
        "steadfast: ONNX Runtime's reports to its maker cannot be switched off ({error}); set {SWITCH}=1 and start again"
    ));
}

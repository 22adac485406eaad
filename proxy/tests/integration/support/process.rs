//! The real binary, as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;

const PQLANE: &str = env!("CARGO_BIN_EXE_pqlane");

/// Runs a command to its end.
pub(crate) fn pqlane(arguments: &[&str]) -> Output {
    Command::new(PQLANE).args(arguments).output().unwrap()
}

/// Standard error of a finished command.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A `pqlane run`, killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn run(config: &Path) -> Self {
        Self::start(Command::new(PQLANE).args(["run", "-c"]).arg(config))
    }

    /// The same with one variable in its environment.
    pub(crate) fn run_with_variable(config: &Path, name: &str, value: &str) -> Self {
        let mut command = Command::new(PQLANE);
        Self::start(command.args(["run", "-c"]).arg(config).env(name, value))
    }

    /// Any command that stays.
    pub(crate) fn command(arguments: &[&str]) -> Self {
        Self::start(Command::new(PQLANE).args(arguments))
    }

    /// The same with room for so many open files.
    pub(crate) fn run_with_files(config: &Path, files: usize) -> Self {
        let script = format!("ulimit -n {files} && exec \"$0\" run -c \"$1\" --log-format json");
        Self::start(Command::new("sh").args(["-c", &script, PQLANE]).arg(config))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Where the listener of this name is.
    pub(crate) async fn listener(&self, name: &str) -> SocketAddr {
        eventually(&format!("listener {name}"), || {
            let log = self.log.lock().unwrap();
            log.iter().find_map(|line| listening(line, name))
        })
        .await
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// How it ended.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        eventually("exit", || self.child.try_wait().unwrap()).await
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a user reads of an exit: its code, or the signal.
pub(crate) fn code(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, signal) => format!("signal {signal:?}"),
    }
}

/// The address in a log line that says a listener is there, in either log format.
fn listening(line: &str, name: &str) -> Option<SocketAddr> {
    if !line.contains("listening") || !line.contains(name) {
        return None;
    }
    let (_, rest) = line.split_once("address")?;
    let start = rest.find(|c: char| c.is_ascii_digit())?;
    let rest = &rest[start..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

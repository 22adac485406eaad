use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;

use super::*;

fn our_executable() -> PathBuf {
    std::fs::read_link("/proc/self/exe").unwrap()
}

fn our_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// A rule for one executable.
fn runs_rule(path: &Path) -> ProcessRule {
    ProcessRule {
        executable: Some(path.to_owned()),
        ..ProcessRule::default()
    }
}

/// This process, connected to itself.
async fn ourselves() -> Caller {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let _ours = UnixStream::connect(&path).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    Caller::of(&accepted).unwrap()
}

/// An executable of our own that connects to the first argument and waits for its standard input to end.
///
/// It is a copy of this test program, which runs one test as its whole work.
struct OtherProgram {
    directory: tempfile::TempDir,
    path: PathBuf,
}

impl OtherProgram {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent");
        let _copying = no_forks();
        std::fs::copy(our_executable(), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { directory, path }
    }

    async fn connect(&self) -> (Child, Caller) {
        let socket = self.directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let child = {
            let _forking = no_forks();
            Command::new(&self.path)
                .args(["--exact", "caller::tests::connects_and_waits"])
                .env(SOCKET, &socket)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let patience = Duration::from_secs(60);
        let accepted = tokio::time::timeout(patience, listener.accept()).await;
        let (accepted, _) = accepted.unwrap().unwrap();
        (child, Caller::of(&accepted).unwrap())
    }
}

/// A process that is forked while a file is open for writing holds it open until its own `exec`, and meanwhile that
/// file cannot be executed (ETXTBSY): so files are not copied while processes start.
fn no_forks() -> MutexGuard<'static, ()> {
    static COPIES_AND_FORKS: Mutex<()> = Mutex::new(());
    COPIES_AND_FORKS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

const SOCKET: &str = "PQLANE_TEST_CALLER_SOCKET";

/// The work of [`OtherProgram`]; among the tests it finds no socket to connect to and has nothing to do.
#[test]
fn connects_and_waits() {
    if let Some(socket) = std::env::var_os(SOCKET) {
        let _connected = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let until_closed = std::io::read_to_string(std::io::stdin()).unwrap();
        assert_eq!(until_closed, "bye");
    }
}

fn end(mut child: Child) {
    child.stdin.take().unwrap().write_all(b"bye").unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_caller_is_known_by_its_ids_and_its_executable() {
    let caller = ourselves().await;
    assert_eq!(caller.uid(), our_uid());
    assert_eq!(caller.pid, Some(std::process::id()));
    assert_eq!(caller.executable().unwrap(), our_executable());
}

#[tokio::test]
async fn rules_hold_for_everything_they_name_and_an_empty_one_for_nobody() {
    let caller = ourselves().await;
    let rule = |uid, executable: Option<PathBuf>| ProcessRule { uid, executable };
    let (ours, other) = (Some(our_uid()), Some(our_uid() + 1));
    assert!(rule(ours, None).matches(&caller));
    assert!(rule(ours, Some(our_executable())).matches(&caller));
    assert!(!rule(other, None).matches(&caller));
    assert!(!rule(other, Some(our_executable())).matches(&caller));
    assert!(!rule(ours, Some("/bin/sh".into())).matches(&caller));
    assert!(!rule(None, None).matches(&caller));
}

#[tokio::test]
async fn another_process_is_told_from_ourselves() {
    let program = OtherProgram::new();
    let (child, caller) = program.connect().await;
    assert_eq!(caller.pid, Some(child.id()));
    assert_eq!(caller.executable().unwrap(), program.path);
    assert!(runs_rule(&program.path).matches(&caller));
    // The same bytes in another file are another executable.
    assert!(!runs_rule(&our_executable()).matches(&caller));
    end(child);
}

#[tokio::test]
async fn a_rule_may_name_a_link_to_the_executable() {
    let program = OtherProgram::new();
    let link = program.directory.path().join("link");
    std::os::unix::fs::symlink(&program.path, &link).unwrap();
    let (child, caller) = program.connect().await;
    assert!(runs_rule(&link).matches(&caller));
    end(child);
}

#[tokio::test]
async fn a_deleted_executable_matches_no_rule() {
    let program = OtherProgram::new();
    let (child, caller) = program.connect().await;
    // The file itself lives on under a name that the process did not start from.
    let kept = program.directory.path().join("kept");
    std::fs::hard_link(&program.path, &kept).unwrap();
    std::fs::remove_file(&program.path).unwrap();
    let path = caller.executable().unwrap();
    assert!(path.to_str().unwrap().ends_with("agent (deleted)"));
    assert!(!runs_rule(&program.path).matches(&caller));
    assert!(!runs_rule(&kept).matches(&caller));
    assert!(!runs_rule(&path).matches(&caller));
    end(child);
}

#[tokio::test]
async fn a_process_that_has_ended_is_nobody() {
    let program = OtherProgram::new();
    let (child, caller) = program.connect().await;
    end(child);
    let error = caller.executable().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(!runs_rule(&program.path).matches(&caller));
}

#[tokio::test]
async fn a_process_that_was_given_the_pid_of_the_caller_is_not_taken_for_it() {
    let program = OtherProgram::new();
    let (child, mut caller) = program.connect().await;
    end(child);
    // As if the kernel had given the pid to this process.
    caller.pid = Some(std::process::id());
    assert!(caller.executable().is_err());
    assert!(!runs_rule(&our_executable()).matches(&caller));
}

#[tokio::test]
async fn the_pidfd_of_one_process_does_not_vouch_for_the_pid_of_another() {
    let program = OtherProgram::new();
    let (child, mut caller) = program.connect().await;
    caller.pid = Some(std::process::id());
    assert!(caller.executable().is_err());
    end(child);
}

#[tokio::test]
async fn a_kernel_without_pidfds_says_so() {
    let mut caller = ourselves().await;
    caller.process = Process::Unknown(nix::errno::Errno::ENOPROTOOPT);
    let error = caller.executable().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("Linux 6.5"), "{error}");
    assert!(!runs_rule(&our_executable()).matches(&caller));
}

#[tokio::test]
async fn a_descriptor_that_is_no_pidfd_proves_nothing() {
    let mut caller = ourselves().await;
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    caller.process = Process::Pinned(file);
    assert!(caller.executable().is_err());
}

#[test]
fn assurances_have_the_names_that_records_use_weakest_first() {
    let all = [
        Assurance::Asserted,
        Assurance::AttestedProcess,
        Assurance::Listener,
    ];
    assert!(all.is_sorted());
    let names = all.map(Assurance::as_str);
    assert_eq!(names, ["asserted", "attested-process", "listener"]);
}

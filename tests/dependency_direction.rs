//! Shows that the inner crates cannot reach outside: a socket, a clock, a thread or a file in them fails their lints,
//! and what they are made of does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot run clippy fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The crates that are values in, values out.
const INNER_CRATES: [&str; 2] = ["protocol", "core-shards"];

/// What an inner crate must not say, and the lint that stops it.
const FORBIDDEN: [(&str, &str); 16] = [
    ("use std::net::TcpStream; pub fn it(_: &TcpStream) {}", "disallowed_types"),
    ("use std::net::TcpListener; pub fn it(_: &TcpListener) {}", "disallowed_types"),
    ("use std::net::UdpSocket; pub fn it(_: &UdpSocket) {}", "disallowed_types"),
    ("use std::os::unix::net::UnixStream; pub fn it(_: &UnixStream) {}", "disallowed_types"),
    ("use std::os::fd::OwnedFd; pub fn it(_: &OwnedFd) {}", "disallowed_types"),
    ("use std::fs::File; pub fn it(_: &File) {}", "disallowed_types"),
    ("use std::time::Instant; pub fn it(_: Instant) {}", "disallowed_types"),
    ("use std::time::SystemTime; pub fn it(_: SystemTime) {}", "disallowed_types"),
    ("pub struct It { pub thread: std::thread::JoinHandle<()> }", "disallowed_types"),
    ("pub struct It { pub lock: std::sync::Mutex<u8> }", "disallowed_types"),
    ("pub struct It { pub lock: std::sync::RwLock<u8> }", "disallowed_types"),
    ("pub fn it() -> u64 { std::time::Instant::now().elapsed().as_secs() }", "disallowed_methods"),
    ("pub fn it() -> bool { std::time::SystemTime::now().elapsed().is_ok() }", "disallowed_methods"),
    ("pub fn it() { drop(std::thread::spawn(|| {})); }", "disallowed_methods"),
    ("pub fn it() { std::thread::sleep(std::time::Duration::ZERO); }", "disallowed_methods"),
    ("pub fn it() -> bool { std::env::var(\"HOME\").is_ok() }", "disallowed_methods"),
];

/// What an inner crate is made of: values, also those that stand for time.
const ALLOWED: &str = "use std::time::Duration; pub fn it(now_ms: u64, wait: Duration) -> u64 { \
                       now_ms + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }";

#[test]
fn a_socket_a_clock_or_a_thread_in_an_inner_crate_fails_its_lints() {
    for inner in INNER_CRATES {
        for (number, (source, lint)) in FORBIDDEN.into_iter().enumerate() {
            let output = lint_as(inner, &format!("forbidden_{number}"), source);
            let complaint = String::from_utf8_lossy(&output.stderr);
            let lint = format!("clippy::{}", lint.replace('_', "-"));
            let is_refused = !output.status.success() && complaint.contains(&lint);
            assert!(is_refused, "{inner} may say `{source}`:\n{complaint}");
        }
    }
}

#[test]
fn values_pass_the_lints_of_the_inner_crates() {
    for inner in INNER_CRATES {
        let output = lint_as(inner, "allowed", ALLOWED);
        assert!(output.status.success(), "{inner}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_workspace_denies_what_the_inner_crates_disallow() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for lint in ["disallowed_types = \"deny\"", "disallowed_methods = \"deny\""] {
        assert!(manifest.contains(lint), "Cargo.toml lacks {lint}");
    }
}

/// Runs clippy over one file as if it were part of the crate `inner`: with its `clippy.toml`, and the workspace's
/// levels for the two lints.
fn lint_as(inner: &str, name: &str, source: &str) -> Output {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(inner);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.rs"));
    fs::write(&file, source).unwrap();
    Command::new(clippy())
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"])
        .args(["-D", "clippy::disallowed_types", "-D", "clippy::disallowed_methods"])
        .arg("--out-dir")
        .arg(&folder)
        .arg(&file)
        .env("CLIPPY_CONF_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join(inner))
        // Set where the test itself runs under clippy's cargo command.
        .env_remove("CLIPPY_ARGS")
        .output()
        .unwrap()
}

/// The driver of the compiler that builds this workspace.
fn clippy() -> PathBuf {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().unwrap();
    let driver = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("bin/clippy-driver");
    assert!(driver.exists(), "clippy is missing: rustup component add clippy");
    driver
}

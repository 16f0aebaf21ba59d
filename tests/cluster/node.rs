//! One node of the three as a process: started with its settings, asked, killed, frozen, stopped, and always ended.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http;
use super::redis::{PATIENCE, wait_until};

/// Ports that were given out, so that two nodes of one run never get the same.
static PORTS: Mutex<u16> = Mutex::new(0);

/// A node. It ends with this value.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    settings: Vec<(String, String)>,
    /// What the process is started through, such as a network namespace; empty for nothing.
    wrapper: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Describes a node on a free port of this machine, without starting it.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let log = folder.join(format!("node-{}-{}.log", std::process::id(), address.port()));
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { address, settings, wrapper: Vec::new(), log, child: None }
    }

    /// Starts it through a command that runs the rest of its line, and lets it listen on another address.
    pub(crate) fn wrap(&mut self, wrapper: &[&str], address: SocketAddr) {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self.address = address;
    }

    /// Sets one setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the process, and waits until it lives; it may not be ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.launch();
        let ends = Instant::now() + PATIENCE;
        while self.status("/healthz") != 200 {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the node ended at its start: {ended:?}\n{}", self.log_text());
            assert!(Instant::now() < ends, "the node does not live:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn launch(&mut self) {
        assert!(self.child.is_none(), "the node runs still");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let binary = binary();
        let mut words = vec!["setpriv", "--pdeathsig", "KILL"];
        words.splice(0..0, self.wrapper.iter().map(String::as_str));
        words.push(&binary);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear();
        for name in ["PATH", "HOME", "REALTIME_IO_DRIVER"] {
            if let Ok(value) = std::env::var(name) {
                command.env(name, value);
            }
        }
        command.env("REALTIME_HOST", self.address.ip().to_string());
        command.env("REALTIME_PORT", self.address.port().to_string());
        command.envs([("REALTIME_CORES", "2"), ("REALTIME_AUTH_REQUIRED", "false")]);
        command.env("REALTIME_RATE_LIMIT_ENABLED", "false");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The status of a page; 0 if nobody answers in time.
    pub(crate) fn status(&self, path: &str) -> u16 {
        http::get(self.address, path).map_or(0, |answer| answer.status)
    }

    /// The health page; null if nobody answers in time.
    pub(crate) fn health(&self) -> Value {
        let answer = http::get(self.address, "/health").map(|answer| answer.body).unwrap_or_default();
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// Whether it says that it takes connections.
    pub(crate) fn is_ready(&self) -> bool {
        self.status("/readyz") == 200
    }

    /// Waits until it says that it takes connections.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        wait_until(&format!("node {} is ready:\n{}", self.address, self.log_text()), || self.is_ready());
    }

    /// Waits until its health page has this status, and says how long that took.
    #[track_caller]
    pub(crate) fn wait_for_health(&self, status: &str) -> Duration {
        let began = Instant::now();
        while self.health()["status"] != status {
            let is_late = began.elapsed() > PATIENCE;
            assert!(
                !is_late,
                "node {} is not {status}: {}\n{}",
                self.address,
                self.health(),
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    }

    /// The sum of all samples of a metric whose name and labels begin like this.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = http::get(self.address, "/metrics").map(|answer| answer.body).unwrap_or_default();
        let values = page.lines().filter(|line| line.starts_with(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// What it has logged.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    /// Processor time that the process has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let fields: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
        // utime and stime are the 14th and 15th field, in ticks of 10 ms; pid, name and state are not among `fields`.
        Duration::from_millis((fields[10] + fields[11]) * 10)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until the process has ended by itself, and says how and after how long.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let mut child = self.child.take().unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the node does not end:\n{}", self.log_text());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it as an operator does, and holds it to a clean end.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Duration {
        self.signal("TERM");
        let (status, took) = self.ended();
        assert_eq!(status.code(), Some(0), "signal {:?}:\n{}", status.signal(), self.log_text());
        took
    }

    /// Lines of the log that a sound node does not write.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let log = self.log_text();
        log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The binary under test: the one that `REALTIME_BIN` names, or else the one that was built with this test.
pub(crate) fn binary() -> String {
    std::env::var("REALTIME_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_realtime").to_owned())
}

/// A port that nobody listens on, below those that the kernel gives to outgoing connections.
fn free_port() -> u16 {
    let mut given = PORTS.lock().unwrap();
    let first = 21_400 + u16::try_from(std::process::id() % 50).unwrap_or_default();
    loop {
        *given += 1;
        let port = first + *given % 50;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

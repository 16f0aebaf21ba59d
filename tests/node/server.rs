//! A node as a process of its own: started on a free port, looked at from outside, always ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::http::Http;

/// How long anything that must happen may take, on a machine that does other work, too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running node.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// The binary in development mode, on a free port if that is 0, with the driver that `REALTIME_IO_DRIVER` names.
pub(crate) fn command(cores: u16, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime"));
    command.args(["--dev", "--port", &port.to_string(), "--cores", &cores.to_string()]);
    // These clients say more in a second than people do in a minute.
    command.env("REALTIME_RATE_LIMIT_ENABLED", "false");
    command
}

impl Server {
    /// Starts a node on so many cores, with flags on top.
    pub(crate) fn start(cores: u16, flags: &[&str]) -> Self {
        let mut command = command(cores, 0);
        command.args(flags);
        Self::spawn(&mut command)
    }

    /// Starts the node that `command` describes and waits until it accepts connections.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, lines) = follow(BufReader::new(child.stderr.take().unwrap()));
        let ends = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(ends.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once("open http://") {
                        let address = address.split('/').next().unwrap().parse().unwrap();
                        return Self { address, child, log };
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("the node did not start: {:#?}", log.lock().unwrap());
                }
            }
        }
    }

    /// The text of a page of the node.
    pub(crate) fn page(&self, path: &str) -> String {
        let mut http = Http::open(self.address);
        http.request("GET", path, "").body
    }

    /// The sum of all samples of a metric whose name and labels begin like this.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let values = page.lines().filter(|line| line.starts_with(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Sessions that the node counts.
    pub(crate) fn session_count(&self) -> u64 {
        self.metric("realtime_connections_total ")
    }

    /// The process's number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Open descriptors of the process.
    pub(crate) fn descriptor_count(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// How many descriptors the process may have open: the soft limit and the hard one.
    pub(crate) fn descriptor_limits(&self) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut values = line.split_whitespace().map(str::to_owned);
        (values.next().unwrap(), values.next().unwrap())
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time that the process has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // utime and stime are the 14th and 15th field, in ticks of 10 ms; pid, name and state are not among `fields`.
        Duration::from_millis((fields[10] + fields[11]) * 10)
    }

    /// Waits until `is_so` says yes.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let ends = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < ends, "waited in vain until {what}: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the node has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process has ended. Returns how, and how long it took.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "the node does not end: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the node as an operator would, and checks that nothing broke while it ran.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let (status, _) = self.ended();
        assert_eq!(status.code(), Some(0), "{:#?}", self.log());
        let broken: Vec<_> = self.log().into_iter().filter(|line| line.contains("panicked")).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what is written, and passes it on line by line.
fn follow(reader: BufReader<std::process::ChildStderr>) -> (Arc<Mutex<Vec<String>>>, Receiver<String>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (sender, lines) = channel();
    let kept = log.clone();
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line.clone());
            let _ = sender.send(line);
        }
    });
    (log, lines)
}

//! Redis for tests, the real one: a server as a process of its own, on a port and in a folder of its own, that is
//! killed, frozen, restarted with or without what it knew, and always ended. Six of them as a cluster are in
//! [`masters`], a plain blocking connection in [`reply`]. Nothing here knows what the node keeps in Redis.

#![allow(dead_code, unused_imports, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test without its Redis fails")]

#[path = "redis/certificates.rs"]
pub(crate) mod certificates;
#[path = "redis/masters.rs"]
pub(crate) mod masters;
#[path = "redis/process.rs"]
mod process;
#[path = "redis/reply.rs"]
pub(crate) mod reply;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use certificates::Certificates;
pub(crate) use masters::RedisCluster;
pub(crate) use reply::{Connection, Reply};

/// How long anything that must happen may take, on a machine that does other work, too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Where it listens; a free port if there is none.
    pub(crate) port: Option<u16>,
    /// Whether everything is in a log on disk before it is answered, so that a restart knows it again.
    pub(crate) is_kept: bool,
    /// What a client must know.
    pub(crate) password: Option<String>,
    /// Whether a second port, [`Redis::tls_port`], speaks TLS.
    pub(crate) has_tls: bool,
    /// More settings, by their names in `redis.conf`.
    pub(crate) settings: Vec<(String, String)>,
}

impl Options {
    /// With one more setting of `redis.conf`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server. It ends with this value.
pub(crate) struct Redis {
    port: u16,
    tls: Option<(u16, Certificates)>,
    folder: PathBuf,
    options: Options,
    child: Option<Child>,
    is_frozen: AtomicBool,
}

impl Redis {
    /// Starts a server and waits until it answers.
    #[track_caller]
    pub(crate) fn start(options: Options) -> Self {
        let redis = Self::launch(options);
        redis.wait_until_it_answers();
        redis
    }

    /// Starts a server; it may not answer yet.
    fn launch(options: Options) -> Self {
        let port = options.port.unwrap_or_else(process::find_port);
        let folder = std::env::temp_dir().join(format!("realtime-redis-{}-{port}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let tls = options.has_tls.then(|| (process::find_port(), Certificates::make(&folder)));
        let mut redis = Self { port, tls, folder, options, child: None, is_frozen: AtomicBool::new(false) };
        redis.launch_again();
        redis
    }

    fn launch_again(&mut self) {
        let mut command = Command::new("setpriv");
        // Whatever becomes of the tests, the server ends with them.
        command.args(["--pdeathsig", "KILL", "redis-server", "--port", &self.port.to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--logfile", "redis.log"]);
        command.arg("--dir").arg(&self.folder).args(["--enable-debug-command", "yes"]);
        command.args(["--appendonly", if self.options.is_kept { "yes" } else { "no" }]);
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password, "--masterauth", password]);
        }
        if let Some((port, certificates)) = &self.tls {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(&certificates.certificate);
            command.arg("--tls-key-file").arg(&certificates.key);
            command.arg("--tls-ca-cert-file").arg(&certificates.authority);
        }
        for (name, value) in &self.options.settings {
            command.args([&format!("--{name}"), value]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(process::spawn(command));
    }

    /// The port without TLS.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The port with TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls.as_ref().unwrap().0
    }

    /// The certificate of whoever signed the server's, as a PEM file.
    pub(crate) fn authority(&self) -> &Path {
        &self.tls.as_ref().unwrap().1.authority
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `redis://…`, with the password if there is one.
    pub(crate) fn url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Opens a connection that has told the password.
    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        self.try_connect().unwrap_or_else(|error| panic!("{}: {error}: {}", self.address(), self.log()))
    }

    fn try_connect(&self) -> std::io::Result<Connection> {
        let mut connection = Connection::open(self.port)?;
        if let Some(password) = &self.options.password {
            connection.try_call(&["AUTH", password])?;
        }
        Ok(connection)
    }

    /// What the server answers to one command.
    #[track_caller]
    pub(crate) fn call(&self, command: &[&str]) -> Reply {
        self.connect().call(command)
    }

    /// Whether the process runs, and not only exists.
    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some() && !self.is_frozen.load(Ordering::Relaxed)
    }

    /// `kill -9`. Nothing is said to anybody; the kernel closes the connections.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.is_frozen.store(false, Ordering::Relaxed);
        }
    }

    /// Starts a killed server again, on its port and in its folder: with what it kept on disk.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs still");
        self.launch_again();
        self.wait_until_it_answers();
    }

    /// Starts a killed server again without anything that it kept.
    #[track_caller]
    pub(crate) fn restart_empty(&mut self) {
        for name in ["appendonlydir", "dump.rdb"] {
            let path = self.folder.join(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        self.restart();
    }

    /// Stops the process where it stands: its connections stay open and say nothing.
    pub(crate) fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
        self.signal("STOP");
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
        self.is_frozen.store(false, Ordering::Relaxed);
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// A field of `INFO`; none also while the server refuses to tell.
    #[track_caller]
    pub(crate) fn info(&self, name: &str) -> Option<String> {
        let Reply::Text(page) = self.call(&["INFO", "everything"]) else { return None };
        let page = String::from_utf8_lossy(&page);
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        wait_until("redis-server answers", || {
            let pong = self.try_connect().and_then(|mut connection| connection.try_call(&["PING"]));
            pong.is_ok_and(|pong| pong == Reply::Text("PONG".into()))
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until `is_so` says yes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let ends = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < ends, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

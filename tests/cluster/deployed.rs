//! What `deploy/` describes, started by its own script, with stock clients beside the test's.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};

use super::checker::judge;
use super::site::{Crowd, Load, seconds};
use super::stock::{StockClients, settle_all};

/// Ports that the script takes: the balancer's, and those after it.
const PORTS: u16 = 5;

/// The set-up of the script. It is stopped with this value.
struct Deployed {
    state: PathBuf,
    port: u16,
}

impl Deployed {
    fn start() -> Self {
        let name = format!("three-nodes-{}", std::process::id());
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let first_ports = (21_450..21_495).step_by(usize::from(PORTS));
        let mut first_ports = first_ports
            .skip(std::process::id() as usize % 9)
            .chain((21_450..21_495).step_by(usize::from(PORTS)));
        let port = first_ports.find(|first| (*first..*first + PORTS).all(|port| is_free(&port)));
        let deployed = Self { state, port: port.unwrap() };
        deployed.run(&["start"]);
        deployed
    }

    fn run(&self, command: &[&str]) -> String {
        let output = self.script(command);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {words}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn script(&self, command: &[&str]) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/three-nodes.sh");
        Command::new(script)
            .args(command)
            .env("THREE_NODES_STATE", &self.state)
            .env("THREE_NODES_PORT", self.port.to_string())
            .env("NODE_BIN", super::node::binary())
            .env("REALTIME_AUTH_REQUIRED", "false")
            .env("REALTIME_RATE_LIMIT_ENABLED", "false")
            .env("REALTIME_CORES", "2")
            .env("REALTIME_DRAIN_SECONDS", "3")
            .output()
            .unwrap()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        let _ = self.script(&["stop"]);
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}

#[test]
fn the_deployed_set_up_passes_a_rolling_restart_and_a_kill() {
    let deployed = Deployed::start();
    let crowd = Crowd::enter(deployed.address(), Load::steady());
    let rooms = ["stock-1", "stock-2"];
    let start = |prefix: &str, transports: &[&str]| {
        StockClients::start(deployed.address(), prefix, 6, &rooms, transports)
    };
    let mut stock = [
        start("web-", &["websocket"]),
        start("poll-", &["polling"]),
        start("both-", &["polling", "websocket"]),
    ];
    stock.iter_mut().for_each(StockClients::talk);
    crowd.wait_for_more(200);
    deployed.run(&["rolling-restart"]);
    crowd.wait_for_more(200);
    deployed.run(&["kill", "2"]);
    crowd.talk_for(seconds(4, 20), || {});
    deployed.run(&["start-node", "2"]);
    crowd.wait_until_all_are_in();
    crowd.wait_for_more(200);
    settle_all(&mut stock, 3 * 6);
    let judged = crowd.judge();
    let diaries: Vec<_> = stock.into_iter().flat_map(StockClients::end).collect();
    let of_stock = judge(&diaries);
    println!(
        "stock clients: {} accepted, {} heard, {} announcements",
        of_stock.acked, of_stock.heard, of_stock.announcements
    );
    assert!(of_stock.findings.is_empty(), "{:#?}", of_stock.findings);
    assert!(of_stock.acked > 0, "stock clients said nothing");
    let findings = &judged.verdict.findings;
    assert!(findings.is_empty(), "{findings:#?}");
    judged.is_without_gaps().is_answered().is_without_refusals();
}

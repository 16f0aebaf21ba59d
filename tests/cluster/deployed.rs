//! What `deploy/` describes, started by its own script, with stock clients beside the test's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use super::checker::judge;
use super::site::{Crowd, Load, seconds};
use super::stock::StockClients;

/// The first of the ports that the script takes.
const PORT: u16 = 21_490;

/// The set-up of the script. It is stopped with this value.
struct Deployed {
    state: PathBuf,
}

impl Deployed {
    fn start() -> Self {
        let name = format!("three-nodes-{}", std::process::id());
        let deployed = Self { state: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name) };
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
            .env("THREE_NODES_PORT", PORT.to_string())
            .env("NODE_BIN", super::node::binary())
            .env("REALTIME_AUTH_REQUIRED", "false")
            .env("REALTIME_RATE_LIMIT_ENABLED", "false")
            .env("REALTIME_CORES", "2")
            .env("REALTIME_DRAIN_SECONDS", "3")
            .output()
            .unwrap()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], PORT))
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
    crowd.wait_for_more(200);
    deployed.run(&["rolling-restart"]);
    crowd.wait_for_more(200);
    deployed.run(&["kill", "2"]);
    crowd.talk_for(seconds(4, 20), || {});
    deployed.run(&["start-node", "2"]);
    crowd.wait_until_all_are_in();
    crowd.wait_for_more(200);
    stock.iter_mut().for_each(StockClients::hush);
    stock.iter_mut().for_each(StockClients::settle);
    // What was said last is on its way to the others.
    std::thread::sleep(Duration::from_secs(1));
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

//! A network namespace for one node: its packets to and from Redis can be dropped there without an end of the
//! connection, while its clients still reach it. Needs root, `ip` and `iptables`.

use std::net::IpAddr;
use std::process::Command;

/// A namespace with one cable to this machine. It is removed with this value.
pub(crate) struct Namespace {
    name: String,
    /// This machine as the namespace sees it.
    pub(crate) outside: IpAddr,
    /// What is in the namespace, as this machine sees it.
    pub(crate) inside: IpAddr,
}

impl Namespace {
    /// Makes one; `number` tells those of one process apart.
    #[track_caller]
    pub(crate) fn make(number: u8) -> Self {
        let process = std::process::id();
        let name = format!("rt{process}-{number}");
        // Of the range for benchmarks of networks (RFC 2544), so that no real network is meant.
        let third = u8::try_from(process % 250).unwrap_or_default();
        let [outside, inside] = [1, 2].map(|host| IpAddr::from([198, 18, third, number * 4 + host]));
        let namespace = Self { name: name.clone(), outside, inside };
        let (ours, theirs) = (format!("{name}o"), format!("{name}i"));
        run(&format!("ip netns add {name}"));
        run(&format!("ip link add {ours} type veth peer name {theirs}"));
        run(&format!("ip link set {theirs} netns {name}"));
        run(&format!("ip address add {outside}/30 dev {ours}"));
        run(&format!("ip link set {ours} up"));
        run(&format!("ip -n {name} address add {inside}/30 dev {theirs}"));
        run(&format!("ip -n {name} link set {theirs} up"));
        run(&format!("ip -n {name} link set lo up"));
        namespace
    }

    /// The words that start a process inside.
    pub(crate) fn wrapper(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Drops every packet to and from a port of this machine.
    pub(crate) fn drop_both_ways(&self, port: u16) {
        self.drop_answers(port);
        self.iptables(&format!("-A OUTPUT -p tcp --dport {port} -j DROP"));
    }

    /// Drops every packet that comes from a port of this machine.
    pub(crate) fn drop_answers(&self, port: u16) {
        self.iptables(&format!("-A INPUT -p tcp --sport {port} -j DROP"));
    }

    /// Drops nothing any more.
    pub(crate) fn heal(&self) {
        self.iptables("-F");
    }

    fn iptables(&self, rule: &str) {
        run(&format!("ip netns exec {} iptables {rule}", self.name));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

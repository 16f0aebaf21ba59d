//! A core that stands still, as if its processor were taken away, holds up nobody but its own clients.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::metrics::scrape;
use super::server::Server;
use super::websocket::WebSocket;

/// How long the core stands still at least.
const STALL: Duration = Duration::from_millis(500);

const CHANNELS: usize = 12;
/// What is said meanwhile: less than may wait for a client.
const MESSAGES: usize = 300;

/// A thread that stands still as long as this is there.
struct Stalled(Pid);

impl Stalled {
    /// Stops the thread of this name. To be ended by the thread that began it.
    fn begin(process: u32, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|entry| entry.unwrap());
        let named = |path: &std::path::Path| fs::read_to_string(path).unwrap().trim() == name;
        let thread = threads.map(|entry| entry.path()).find(|path| named(&path.join("comm"))).unwrap();
        let thread = Pid::from_raw(thread.file_name().unwrap().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}

/// Somebody whose sessions are at home on this core, in all channels.
fn somebody(server: &Server, core: usize) -> WebSocket {
    let gauge = format!("realtime_core_sessions{{core=\"{core}\"}}");
    for number in 0.. {
        let before = scrape(server).value(&gauge);
        let mut socket = WebSocket::join(server.address, &format!("{core}-{number}"));
        if scrape(server).value(&gauge) > before {
            for channel in 0..CHANNELS {
                socket.send(&format!("42{channel}[\"channel:join\",{{\"channelId\":\"c{channel}\"}}]"));
                socket.until(&format!("43{channel}["));
            }
            return socket;
        }
    }
    unreachable!("users are spread over the cores")
}

fn send(socket: &mut WebSocket, ack: usize, channel: usize, content: &str) {
    let fields = format!("{{\"channelId\":\"c{channel}\",\"content\":\"{content}\"}}");
    socket.send(&format!("42{ack}[\"message:send\",{fields}]"));
}

/// Listens until this is said.
fn hear(socket: &mut WebSocket, content: &str) {
    let field = format!("\"content\":\"{content}\"");
    while !socket.until("42[\"message\"").contains(&field) {}
}

#[test]
fn a_core_that_stands_still_holds_up_nobody_else_and_loses_nothing() {
    let server = Server::start(2, &[]);
    let (mut speaker, mut neighbour) = (somebody(&server, 0), somebody(&server, 0));
    let mut stalled = somebody(&server, 1);
    let before = scrape(&server);

    let stall = Stalled::begin(server.process(), "core-1");
    let began = Instant::now();
    (0..CHANNELS).for_each(|channel| send(&mut speaker, channel, channel, "which"));
    // Channels whose home stands still are answered later.
    let first = speaker.until("43");
    let channel: usize = first["43".len()..first.find('[').unwrap()].parse().unwrap();
    for number in 0..MESSAGES {
        send(&mut speaker, 500, channel, &format!("n{number}"));
        speaker.until("43500[{\"success\":true");
        hear(&mut neighbour, &format!("n{number}"));
    }
    std::thread::sleep(STALL.saturating_sub(began.elapsed()));
    drop(stall);

    for number in 0..MESSAGES {
        hear(&mut stalled, &format!("n{number}"));
    }
    (0..CHANNELS).for_each(|other| send(&mut speaker, 900 + other, other, "after"));
    (0..CHANNELS).for_each(|_| assert!(speaker.until("439").contains("\"success\":true")));
    let after = scrape(&server);
    let lag = |rest: &str| after.growth(&before, &format!("realtime_core_loop_lag_seconds_{rest}"));
    let late = lag("count{core=\"1\"}") - lag("bucket{core=\"1\",le=\"0.1\"}");
    assert!(late >= 1.0, "the stall of a core is not seen");
    server.stop();
}

//! Questions to a real server on this machine, which answers by the name of the user.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Barrier;
use std::sync::mpsc::{Receiver, channel};

use core_shards::CoreId;
use serde_json::Value;

use super::*;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server saw of one question.
struct Seen {
    path: String,
    headers: HashMap<String, String>,
    body: String,
    is_last: bool,
}

/// Answers every question with what `reply` makes of the user's name; `None` closes the connection, and a name that ends
/// in `!` closes it after the answer.
fn serve(reply: impl Fn(&str) -> Option<String> + Send + Clone + 'static) -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/may", listener.local_addr().unwrap());
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender, reply) = (stream.unwrap(), sender.clone(), reply.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(question) = read_question(&mut reader) {
                    let user: Value = serde_json::from_str(&question.body).unwrap();
                    let user = user["userId"].as_str().unwrap();
                    let text = reply(user).filter(|text| write(&stream, text));
                    let is_last = question.is_last;
                    let _ = sender.send(question);
                    if text.is_none() || is_last {
                        break;
                    }
                }
            });
        }
    });
    (url, seen)
}

fn read_question(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: String| {
        line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: HashMap<String, String> = lines.filter_map(header).collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let is_last = body.contains("!\"");
    Some(Seen { path, headers, body, is_last })
}

fn write(mut stream: &TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn settings(url: &str) -> PermissionSettings {
    PermissionSettings {
        url: url.to_owned(),
        secret: None,
        plugin_secret: None,
        timeout: PATIENCE,
        allowed_ttl_ms: 60_000,
    }
}

fn start(settings: &PermissionSettings) -> (Permissions, Receiver<(Question, Verdict)>) {
    let (sender, verdicts) = channel();
    let answer = move |question, verdict| drop(sender.send((question, verdict)));
    (Permissions::start(settings, answer).unwrap(), verdicts)
}

fn question(user: &str) -> Question {
    Question {
        core: CoreId(1),
        key: 7,
        user: user.into(),
        channel: "general".into(),
        roles: Box::default(),
        session: "s1".into(),
        action: "join",
    }
}

/// Asks for one user and returns what came of it: allowed, time to live, outcome.
fn asked(
    permissions: &Permissions,
    verdicts: &Receiver<(Question, Verdict)>,
    user: &str,
) -> (bool, u64, Outcome) {
    permissions.ask(question(user)).unwrap();
    let (answered, verdict) = verdicts.recv_timeout(PATIENCE).unwrap();
    assert_eq!(answered, question(user));
    (verdict.is_allowed, verdict.ttl_ms, verdict.outcome)
}

#[test]
fn only_a_clear_yes_lets_somebody_in() {
    let (url, _seen) = serve(|user| {
        let huge = format!(r#"{{"allowed":true,"reason":"{}"}}"#, "x".repeat(1 << 20));
        let elsewhere = "302 Found\r\nLocation: /yes";
        Some(match user {
            "yes" => response("200 OK", r#"{"allowed":true}"#),
            "no" => response("200 OK", r#"{"allowed":false,"reason":"not a member"}"#),
            "briefly" => response("200 OK", r#"{"allowed":true,"ttl":2}"#),
            "never long" => response("200 OK", r#"{"allowed":false,"ttl":0.5}"#),
            "500" => response("500 Internal Server Error", r#"{"allowed":true}"#),
            "201" => response("201 Created", r#"{"allowed":true}"#),
            "redirect" => response(elsewhere, r#"{"allowed":true}"#),
            "307" => response("307 Temporary Redirect\r\nLocation: /yes", r#"{"allowed":true}"#),
            "garbage" => response("200 OK", "of course"),
            "huge" => response("200 OK", &huge),
            "not http" => "yes\r\n\r\n".to_owned(),
            _ => return None,
        })
    });
    let (permissions, verdicts) = start(&settings(&url));
    let check = |user: &str, is_allowed: bool, ttl_ms: u64, outcome: Outcome| {
        assert_eq!(asked(&permissions, &verdicts, user), (is_allowed, ttl_ms, outcome), "{user}");
    };
    check("yes", true, 60_000, Outcome::Allowed);
    check("no", false, 5_000, Outcome::Denied);
    check("briefly", true, 2_000, Outcome::Allowed);
    check("never long", false, 500, Outcome::Denied);
    check("500", false, 1_000, Outcome::Status);
    check("201", false, 1_000, Outcome::Status);
    check("redirect", false, 1_000, Outcome::Status);
    check("307", false, 1_000, Outcome::Status);
    check("garbage", false, 1_000, Outcome::Malformed);
    check("huge", false, 1_000, Outcome::Malformed);
    check("not http", false, 1_000, Outcome::Malformed);
    check("closed", false, 1_000, Outcome::Unreachable);
    check("yes", true, 60_000, Outcome::Allowed);
    let metrics = permissions.metrics();
    let count = |outcome: Outcome| metrics.outcomes[outcome as usize].load(Ordering::Relaxed);
    assert_eq!(Outcome::ALL.map(|(outcome, _)| count(outcome)), [3, 2, 0, 1, 4, 3, 0]);
    assert_eq!(metrics.asked.load(Ordering::Relaxed), 13);
}

#[test]
fn a_webhook_that_is_not_there_lets_nobody_in() {
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for scheme in ["http", "https"] {
        let (permissions, verdicts) = start(&settings(&format!("{scheme}://{nowhere}/")));
        assert_eq!(asked(&permissions, &verdicts, "yes"), (false, 1_000, Outcome::Unreachable));
    }
}

#[test]
fn a_webhook_without_a_certificate_is_not_believed() {
    let (url, _seen) = serve(|_| Some(response("200 OK", r#"{"allowed":true}"#)));
    let exchange = Exchange::new(&settings(&url.replace("http:", "https:")));
    assert_eq!(exchange.ask(&question("yes")), Err(Outcome::Unreachable));
}

#[test]
fn a_question_is_signed_and_names_its_sender() {
    let (url, seen) = serve(|_| Some(response("200 OK", r#"{"allowed":true}"#)));
    let mut settings = settings(&url);
    settings.secret = Some("a secret".to_owned());
    settings.plugin_secret = Some("the plugin".to_owned());
    let (permissions, verdicts) = start(&settings);
    asked(&permissions, &verdicts, "ada");
    let seen = seen.recv_timeout(PATIENCE).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a secret");
    let signature = seen.headers["x-realtime-signature"].strip_prefix("sha256=").unwrap();
    let digit = |at: usize| u8::from_str_radix(&signature[at..at + 2], 16).unwrap();
    let signature: Vec<u8> = (0..signature.len()).step_by(2).map(digit).collect();
    aws_lc_rs::hmac::verify(&key, seen.body.as_bytes(), &signature).unwrap();
    assert_eq!(seen.headers["x-plugin-secret"], "the plugin");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(seen.headers["user-agent"].starts_with("realtime/"));
    assert_eq!(seen.path, "/may");
}

#[test]
fn a_webhook_that_says_nothing_is_given_up() {
    let (held, hold) = channel::<()>();
    let hold = Arc::new(std::sync::Mutex::new(hold));
    let (url, seen) = serve(move |_| {
        let _ = hold.lock().unwrap().recv();
        None
    });
    let mut settings = settings(&url);
    settings.timeout = Duration::from_millis(50);
    let (permissions, verdicts) = start(&settings);
    assert_eq!(asked(&permissions, &verdicts, "ada"), (false, 1_000, Outcome::Timeout));
    drop(held);
    assert!(seen.recv_timeout(PATIENCE).unwrap().body.contains("ada"));
}

#[test]
fn a_kept_connection_that_died_is_replaced() {
    // Without `Connection: close`, as a server that is restarted.
    let (url, _seen) = serve(|_| Some(response("200 OK", r#"{"allowed":true}"#)));
    let (permissions, verdicts) = start(&settings(&url));
    for _ in 0..20 {
        assert_eq!(asked(&permissions, &verdicts, "ada!"), (true, 60_000, Outcome::Allowed));
    }
}

#[test]
fn questions_are_asked_at_the_same_time() {
    let together = Arc::new(Barrier::new(WORKERS));
    let (url, _seen) = serve(move |_| {
        together.wait();
        Some(response("200 OK", r#"{"allowed":true}"#))
    });
    let (permissions, verdicts) = start(&settings(&url));
    for number in 0..WORKERS {
        permissions.ask(question(&number.to_string())).unwrap();
    }
    for _ in 0..WORKERS {
        assert!(verdicts.recv_timeout(PATIENCE).unwrap().1.is_allowed);
    }
}

#[test]
fn what_nobody_has_time_for_is_refused_at_once_or_soon() {
    let (held, hold) = channel::<()>();
    let hold = Arc::new(std::sync::Mutex::new(hold));
    let (url, _seen) = serve(move |_| {
        let _ = hold.lock().unwrap().recv();
        None
    });
    let mut settings = settings(&url);
    settings.timeout = Duration::from_millis(200);
    let (permissions, verdicts) = start(&settings);
    let mut taken = 0;
    while permissions.ask(question("ada")).is_ok() {
        taken += 1;
        assert!(taken < 100 * QUEUE_MAX, "the queue is bounded");
    }
    for _ in 0..taken {
        let verdict = verdicts.recv_timeout(PATIENCE).unwrap().1;
        assert_eq!(verdict.outcome, Outcome::Timeout);
    }
    assert_eq!(permissions.metrics().outcomes[Outcome::Busy as usize].load(Ordering::Relaxed), 1);
    // The workers end with the last way to them: only then does nobody hold the other end.
    drop((permissions, held));
    assert!(
        verdicts
            .recv_timeout(PATIENCE)
            .is_err_and(|end| end == std::sync::mpsc::RecvTimeoutError::Disconnected)
    );
}

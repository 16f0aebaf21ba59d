//! The command line of the binary, run as an operator runs it: help, `check-config`, `token`, and refusals to start.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use realtime::auth::{AuthSettings, Verifier};

const SECRET: &str = "a secret that only tests know, 32+ bytes";

/// How long a node may take to start, on a machine that does other work, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary with these arguments and variables, and nothing of this process's environment.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments, variables).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_explains_every_command_with_examples() {
    let check = |arguments: &[&str], parts: &[&str]| {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(0));
        for part in ["Examples:"].iter().chain(parts) {
            assert!(text(&output.stdout).contains(part), "{arguments:?} without {part}");
        }
    };
    check(
        &["--help"],
        &["--dev", "[env: REALTIME_PORT] [default: 3101]", "[one of: auto, uring, epoll]", "token"],
    );
    check(&["healthcheck", "--help"], &["realtime healthcheck"]);
    check(&["check-config", "--help"], &["--ping-timeout <MS>"]);
    check(&["token", "--help"], &["--user <ID>", "--ttl <TIME>", "[default: 1h]"]);
}

#[test]
fn check_config_shows_every_value_with_its_source() {
    let variables = [
        ("REALTIME_JWT_SECRET", SECRET),
        ("REALTIME_MAX_CONNECTIONS", "500"),
        ("REALTIME_PRESENCE_TIMEOUT", "20000"),
        ("REALTIME_REDIS_HOST", "cache"),
        ("REALTIME_REDIS_PASSWORD", ""),
        ("REALTIME_PROT", "3102"),
        ("POSTGRES_HOST", "db"),
    ];
    let output = run(&["check-config", "--cores", "2"], &variables);
    let lines: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    for expected in [
        "REALTIME_PORT 3101 default",
        "REALTIME_CORES 2 flag",
        "REALTIME_JWT_SECRET ******** environment",
        "REALTIME_WEBSOCKET_MAX_CONNECTIONS 500 alias REALTIME_MAX_CONNECTIONS",
        "accepted, not acted on by this version",
        "REALTIME_PRESENCE_TIMEOUT 20000 environment",
        "REALTIME_PRIVATE_PREFIXES private-,private:,dm: default",
        "REALTIME_REST_AUTH (required; in development mode optional) default",
        "REALTIME_REDIS_PASSWORD (not set) default",
        "REALTIME_REDIS_HOST cache environment",
        "REALTIME_REDIS_HOST is not used: write REALTIME_REDIS_ENABLED=true, or this node stays by itself",
        "REALTIME_PROT: did you mean REALTIME_PORT? Nothing reads it under this name",
        "POSTGRES_HOST is not read: this node needs no database",
        "a node would start with this",
    ] {
        assert!(lines.iter().any(|line| line == expected), "no {expected}: {lines:#?}");
    }
}

#[test]
fn check_config_shows_what_is_wrong_and_ends_with_2() {
    let output = run(&["check-config"], &[("REALTIME_PORT", "x"), ("REALTIME_JWT_EXPIRY", "later")]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2));
    assert!(report.contains("REALTIME_PORT=x: write a whole number from 0 to 65535"), "{report}");
    assert!(report.contains("REALTIME_JWT_EXPIRY=later: write ignore or disconnect"), "{report}");
    assert_eq!(run(&["check-config"], &[]).status.code(), Some(2), "a node without a secret does not start");
}

#[test]
fn a_start_with_nonsense_is_refused_with_2() {
    let check = |arguments: &[&str], variables: &[(&str, &str)], hint: &str| {
        let output = run(arguments, variables);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(hint), "{message}");
    };
    check(&[], &[], "REALTIME_JWT_SECRET is not set");
    check(&["--dev"], &[("REALTIME_WEBSOCKET_PING_TIMEOUT", "0")], "milliseconds from 10 to 3600000");
    check(&["--dev"], &[("REALTIME_JWT_ALGORITHM", "none")], "unsigned tokens are never accepted");
    check(&["--dev", "--auth-required=true"], &[], "write one of them");
    check(&["--dev", "--prot=1"], &[], "--port");
    check(
        &[],
        &[("REALTIME_JWT_SECRET", SECRET), ("REALTIME_FAULT_INJECTION", "true")],
        "development mode only",
    );
    check(
        &[],
        &[("REALTIME_JWT_SECRET", SECRET), ("REALTIME_REST_AUTH", "off")],
        "lets anybody speak for every user",
    );
}

#[test]
fn a_minted_token_is_one_that_the_node_accepts() {
    let variables = [
        ("REALTIME_JWT_ALGORITHM", "HS512"),
        ("REALTIME_JWT_ISSUER", "here"),
        ("REALTIME_JWT_AUDIENCE", "chat"),
        ("REALTIME_JWT_REQUIRED_CLAIMS", "role"),
    ];
    let arguments =
        ["token", "--user", "ada", "--name", "Ada L.", "--role", "admin", "--ttl", "5m", "--secret", SECRET];
    let output = run(&arguments, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let token = text(&output.stdout).strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace));
    let verifier = Verifier::new(AuthSettings {
        secret: Some(SECRET.to_owned()),
        algorithm: "HS512".parse().unwrap(),
        required_claims: vec!["role".to_owned()],
        issuer: Some("here".to_owned()),
        audience: Some("chat".to_owned()),
        ..AuthSettings::default()
    });
    let identity = verifier.unwrap().verify(token).unwrap();
    assert_eq!((&*identity.user, identity.name.as_deref()), ("ada", Some("Ada L.")));
    assert_eq!(identity.roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["admin"]);
}

#[test]
fn tokens_that_no_node_would_accept_are_not_minted() {
    let check = |arguments: &[&str], variables: &[(&str, &str)], hint: &str| {
        let output = run(&[&["token"], arguments].concat(), variables);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
        assert!(text(&output.stderr).contains(hint), "{}", text(&output.stderr));
    };
    let secret = ("REALTIME_JWT_SECRET", SECRET);
    check(&["--user", "ada"], &[], "REALTIME_JWT_SECRET is not set");
    check(&["--user", "ada"], &[secret, ("REALTIME_JWT_ALGORITHM", "RS256")], "private key");
    check(&["--user", "ada"], &[secret, ("REALTIME_JWT_REQUIRED_CLAIMS", "role")], "--role");
    check(&["--user", ""], &[secret], "1 to 255 bytes");
    check(&["--user", "ada", "--ttl", "soon"], &[secret], "such as 90s");
    check(&[], &[secret], "--user");
}

#[test]
fn a_start_warns_of_what_it_does_not_act_on() {
    let variables =
        [("REALTIME_ENABLE_COMPRESSION", "on"), ("REALTIME_PROT", "1"), ("REALTIME_IO_DRIVER", "epoll")];
    let mut node = command(&["--dev", "--port", "0", "--cores", "1"], &variables);
    let mut node = node.stderr(Stdio::piped()).spawn().unwrap();
    let (stderr, (sender, lines)) = (node.stderr.take().unwrap(), channel());
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            let _ = sender.send(line);
        }
    });
    let mut log = Vec::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        let is_up = line.contains("open http://");
        log.push(line);
        if is_up {
            break;
        }
    }
    node.kill().unwrap();
    node.wait().unwrap();
    reader.join().unwrap();
    for expected in [
        "accepted, not acted on by this version: REALTIME_ENABLE_COMPRESSION",
        "REALTIME_PROT: did you mean REALTIME_PORT?",
        "open http://127.0.0.1:",
    ] {
        assert_eq!(log.iter().filter(|line| line.contains(expected)).count(), 1, "{expected}: {log:#?}");
    }
}

//! Configurations as an operator gives them: flags and variables in, settings or refusals out.

use clap::Parser;

use super::command_line::Cli;
use super::report::Report;
use super::*;

fn resolved(arguments: &[&str], variables: &[(&str, &str)]) -> Resolved {
    let arguments = std::iter::once("realtime").chain(arguments.iter().copied());
    let cli = Cli::try_parse_from(arguments).unwrap();
    Resolved::new(&cli.flags(), variables.iter().map(|(name, text)| (name.into(), text.into())))
}

fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    Config::new(&resolved(arguments, variables)).map_err(|problems| problems.join("\n"))
}

#[test]
fn development_mode_is_for_this_machine_only() {
    let check = |arguments: &[&str], expected: &str| {
        assert_eq!(parse(arguments, &[]).unwrap().address().to_string(), expected);
    };
    check(&["--dev"], "127.0.0.1:3101");
    check(&["--auth-required=false"], "127.0.0.1:3101");
    check(&["--dev", "--host=0.0.0.0"], "0.0.0.0:3101");
    check(&["--jwt-secret=s"], "0.0.0.0:3101");
}

#[test]
fn nonsense_is_refused_with_what_to_write_instead() {
    let check = |variable: &str, text: &str, hint: &str| {
        let error = parse(&[], &[(variable, text)]).unwrap_err();
        assert!(error.contains(variable) && error.contains(hint), "{variable}={text}: {error}");
    };
    check("REALTIME_PORT", "70000", "from 0 to 65535");
    check("REALTIME_PORT", "-1", "from 0 to 65535");
    check("PORT", "http", "from 0 to 65535");
    check("REALTIME_HOST", "localhost", "127.0.0.1");
    check("REALTIME_CORES", "0", "from 1 to 1024");
    check("REALTIME_IO_DRIVER", "fast", "auto, uring or epoll");
    check("REALTIME_WEBSOCKET_MAX_CONNECTIONS", "0", "from 1 to");
    check("REALTIME_MAX_CONNECTIONS", "many", "from 1 to");
    check("REALTIME_WEBSOCKET_PING_INTERVAL", "0", "milliseconds from 10 to 3600000");
    check("REALTIME_WEBSOCKET_PING_TIMEOUT", "0", "milliseconds from 10 to 3600000");
    check("REALTIME_PING_TIMEOUT", "5s", "milliseconds");
    check("REALTIME_JWT_SECRET", "${JWT_SECRET}", "nobody filled in");
    check("REALTIME_JWT_ALGORITHM", "none", "REALTIME_AUTH_REQUIRED=false");
    check("REALTIME_JWT_ALGORITHM", "SHA256", "HS256");
    check("REALTIME_AUTH_REQUIRED", "perhaps", "true or false");
    check("REALTIME_JWT_EXPIRY", "later", "ignore or disconnect");
    check("REALTIME_CORS_ORIGIN", "chat.example.org", "https://chat.example.org");
    check("REALTIME_CORS_ORIGIN", "*,https://chat.example.org", "* alone");
    check("REALTIME_CORS_ORIGIN", "https://chat.example.org/page", "origins");
    check("REALTIME_MAX_MESSAGE_LENGTH", "1e4", "from 1 to");
    check("REALTIME_MAX_PAYLOAD", "999", "bytes from 1000");
    check("REALTIME_MAX_QUEUE_BYTES", "4294967296", "bytes from 16384 to 4294967295");
    check("REALTIME_ENABLE_METRICS", "2", "true or false");
    check("REALTIME_LOG_LEVEL", "loud", "error, warn, info");
    check("LOG_LEVEL", "realtime=loud", "error, warn, info");
    check("REALTIME_PRESENCE_TIMEOUT", "never", "milliseconds");
    check("REALTIME_TYPING_DEBOUNCE", "3000", "less than REALTIME_TYPING_TIMEOUT");
    check("REALTIME_REDIS_PORT", "0", "from 1 to 65535");
    check("REALTIME_REDIS_URL", "redis:6379", "redis://host or rediss://host");
    check("REDIS_URL", "memcached://cache", "redis://host or rediss://host");
    check("REALTIME_RATE_LIMIT_ENABLED", "sometimes", "true or false");
    check("REALTIME_RATE_LIMIT_POINTS", "0", "from 1 to");
    check("REALTIME_RATE_LIMIT_DURATION", "1m", "seconds from 1 to 86400");
    check("REALTIME_HEALTH_CHECK_INTERVAL", "0", "seconds from 1 to 3600");
    check("REALTIME_METRICS_PATH", "metrics", "/metrics");
    check("REALTIME_ENABLED", "maybe", "true or false");
    check("REALTIME_MAX_CONNECTIONS_PER_USER", "-1", "from 0 to");
    check("REALTIME_HISTORY_SIZE", "all", "from 0 to 1000000");
    check("REALTIME_HISTORY_TTL", "0", "seconds from 1 to");
    check("REALTIME_RECOVERY", "true", "auto, on or off");
    check("REALTIME_RECOVERY_WINDOW", "3600001", "milliseconds from 0 to 3600000");
    check("REALTIME_OFFLINE_TTL", "1d", "seconds from 0 to");
    check("REALTIME_ROOM_DEFAULT", "closed", "allow or deny");
    check("REALTIME_CLAIM_MODE", "strict", "exclusive or additive");
    check("REALTIME_PERMISSION_WEBHOOK_URL", "back/may", "http://host or https://host");
    check("REALTIME_PERMISSION_WEBHOOK_URL", "${WEBHOOK}", "nobody filled in");
    check("REALTIME_PERMISSION_WEBHOOK_TIMEOUT", "0", "milliseconds from 10 to 60000");
    check("REALTIME_PERMISSION_WEBHOOK_TTL", "1h", "seconds from 0 to 86400");
    check("REALTIME_REST_AUTH", "none", "required, optional or off");
    check("REALTIME_API_KEY", "${REALTIME_API_KEY}", "nobody filled in");
    check("PLUGIN_INTERNAL_SECRET", "${PLUGIN_INTERNAL_SECRET}", "nobody filled in");
    check("REALTIME_DIALECT", "klingon", "auto, primary, legacy or both");
    check("REALTIME_IMPLICIT_JOIN", "sometimes", "true or false");
    check("REALTIME_HEALTH_PATH", "/health?full", "/metrics");
}

#[test]
fn a_refused_flag_is_named_as_it_was_written() {
    let error = parse(&["--ping-timeout=1"], &[]).unwrap_err();
    assert!(error.starts_with("--ping-timeout=1: write"), "{error}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = parse(&["--cores=0"], &[("REALTIME_PORT", "x"), ("LOG_LEVEL", "x")]).unwrap_err();
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn contradictions_are_refused() {
    let check = |arguments: &[&str], hint: &str| match (parse(arguments, &[]).unwrap().check(), hint) {
        (Ok(()), "") => {}
        (Err(error), hint) if !hint.is_empty() && error.contains(hint) => {}
        (outcome, _) => panic!("{arguments:?}: {outcome:?}"),
    };
    check(&["--fault-injection=true", "--jwt-secret=s"], "development mode only");
    check(&["--fault-injection=true", "--dev"], "");
    check(&[], "REALTIME_JWT_SECRET is not set");
    check(&["--jwt-secret="], "REALTIME_JWT_SECRET is not set");
    check(&["--jwt-secret=s", "--rest-auth=off"], "development mode only");
    check(&["--jwt-secret=s", "--rest-auth=optional"], "X-API-Key");
    check(&["--jwt-secret=s", "--rest-auth=required"], "");
    check(&["--dev", "--rest-auth=off"], "");
    check(&["--dev", "--api-key=schlüssel"], "REALTIME_API_KEY cannot be sent in a header");
    check(&["--dev", "--plugin-internal-secret= k "], "PLUGIN_INTERNAL_SECRET cannot be sent in a header");
    check(&["--dev", "--permission-webhook-url=https://bäck/may"], "cannot be asked");
    check(&["--dev", "--permission-webhook-url=http://back:8080/may?from=realtime"], "");
    check(&["--dev", "--health-path=/metrics"], "are the same");
    check(&["--dev", "--health-path=/metrics", "--metrics-enabled=false"], "");
    check(&["--dev", "--metrics-path=/presence/metrics"], "another page already");
    check(&["--dev", "--relay-events=message:send"], "REALTIME_RELAY_EVENTS has message:send");
    check(&["--jwt-secret=s", "--jwt-algorithm=RS256"], "not a PEM key");
    check(&["--jwt-secret=-----BEGIN PUBLIC KEY-----"], "REALTIME_JWT_ALGORITHM is for shared secrets");
    assert!(Cli::try_parse_from(["realtime", "--dev", "--auth-required=true"]).is_err());
}

#[test]
fn flags_go_before_variables_and_later_flags_before_earlier_ones() {
    let port = |arguments: &[&str]| parse(arguments, &[("REALTIME_PORT", "1")]).unwrap().port;
    assert_eq!(port(&[]), 1);
    assert_eq!(port(&["--port=2"]), 2);
    assert_eq!(port(&["--port=2", "check-config", "--port=3"]), 3);
    assert!(!parse(&["--dev"], &[("REALTIME_AUTH_REQUIRED", "true")]).unwrap().auth_required);
}

#[test]
fn doubtful_values_are_told() {
    let check = |variables: &[(&str, &str)], hint: &str| {
        let warnings = parse(&[], variables).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(hint), "{warnings:?}");
    };
    check(&[("REALTIME_JWT_SECRET", "short")], "32 random bytes");
    check(&[("REALTIME_JWT_SECRET", "a secret of 32 bytes with a tail \n")], "begins or ends with a blank");
    check(&[("REALTIME_MAX_PAYLOAD", "5000")], "never reached");
    check(&[("REALTIME_MAX_MESSAGE_LENGTH", "65536")], "write 1572864 or more");
    check(&[("REALTIME_MAX_QUEUE_BYTES", "239999")], "write 240000 or more");
    check(&[("REALTIME_OFFLINE_TTL", "301")], "how much was missed");
    check(&[("REALTIME_API_KEY", "short")], "16 random bytes");
    check(&[("PLUGIN_INTERNAL_SECRET", "short")], "16 random bytes");
    check(&[("REALTIME_PERMISSION_WEBHOOK_SECRET", "s")], "signs nothing");
    check(&[("REALTIME_PROT", "1")], "did you mean REALTIME_PORT?");
}

#[test]
fn secrets_are_shown_nowhere() {
    let variables = [
        ("REALTIME_JWT_SECRET", "hush-hush"),
        ("REALTIME_REDIS_PASSWORD", "hush-hush"),
        ("REALTIME_API_KEY", "hush-hush"),
        ("REALTIME_REDIS_URL", "redis://:hush-hush@redis:6379/1"),
        ("REALTIME_PERMISSION_WEBHOOK_SECRET", "hush-hush"),
        ("REALTIME_PERMISSION_WEBHOOK_URL", "https://back:hush@back/may?key=hush"),
        ("PLUGIN_INTERNAL_SECRET", "hush-hush"),
    ];
    let config = parse(&[], &variables).unwrap();
    assert!(!config.summary().contains("hush") && !config.warnings.join("").contains("hush"));
    let text = Report::new(&resolved(&[], &variables)).text;
    assert!(!text.contains("hush") && text.contains("redis://********@redis:6379/1"), "{text}");
    for (name, text) in [("REALTIME_REDIS_URL", "hush-hush"), ("REALTIME_JWT_SECRET", "${hush-hush}")] {
        let error = parse(&[], &[(name, text)]).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}

//! Names of other generations: those that mean one of ours, those that mean nothing here, and those that are
//! probably misspelt.

use super::table::SETTINGS;

/// Older and more general names, each with the setting that it means. Where a setting has two, the first wins.
pub const ALIASES: &[(&str, &str)] = &[
    ("REALTIME_MAX_CONNECTIONS", "REALTIME_WEBSOCKET_MAX_CONNECTIONS"),
    ("REALTIME_PING_INTERVAL", "REALTIME_WEBSOCKET_PING_INTERVAL"),
    ("REALTIME_PING_TIMEOUT", "REALTIME_WEBSOCKET_PING_TIMEOUT"),
    ("REALTIME_ENABLE_METRICS", "REALTIME_METRICS_ENABLED"),
    ("LOG_LEVEL", "REALTIME_LOG_LEVEL"),
    ("PORT", "REALTIME_PORT"),
    ("REDIS_URL", "REALTIME_REDIS_URL"),
];

/// Names that older servers read and this one does not, each with the reason.
const IGNORED: &[(&str, &str)] = &[
    (
        "REALTIME_RATE_LIMIT",
        "is not read, because it meant different things in different versions: write REALTIME_RATE_LIMIT_POINTS and \
         REALTIME_RATE_LIMIT_DURATION",
    ),
    ("REALTIME_BATCH_SIZE", "is not read: what waits for a socket is always sent in one write"),
    (
        "REALTIME_PRESENCE_HEARTBEAT",
        "is not read: presence follows the connection, and REALTIME_PRESENCE_TIMEOUT is the grace after it",
    ),
    ("REALTIME_LOG_EVENTS", "is not read: nothing is logged per event, GET /metrics counts them"),
    ("REALTIME_LOG_EVENT_TYPES", "is not read: nothing is logged per event, GET /metrics counts them"),
    (
        "REALTIME_REDIS_MAX_MEMORY_PER_CONNECTION",
        "is not read: what a connection may hold is REALTIME_MAX_QUEUE_BYTES",
    ),
    ("POSTGRES_HOST", NO_DATABASE),
    ("POSTGRES_PORT", NO_DATABASE),
    ("POSTGRES_DB", NO_DATABASE),
    ("POSTGRES_USER", NO_DATABASE),
    ("POSTGRES_PASSWORD", NO_DATABASE),
    ("POSTGRES_SSL", NO_DATABASE),
    ("DATABASE_URL", NO_DATABASE),
    ("DATABASE_POOL_MIN", NO_DATABASE),
    ("DATABASE_POOL_MAX", NO_DATABASE),
    ("DATABASE_POOL_SIZE", NO_DATABASE),
];

const NO_DATABASE: &str = "is not read: this node needs no database";

/// Names longer than this are not compared with ours; the comparison takes time by the square.
const COMPARED_BYTES_MAX: usize = 64;

/// Whether the configuration has anything to say about a variable of this name.
pub fn concerns_us(name: &str) -> bool {
    name.starts_with("REALTIME_") || known().any(|known| known == name) || ignored(name).is_some()
}

/// The warning that a variable of this name deserves if it is set; none if the node knows it.
pub fn warning(name: &str) -> Option<String> {
    if let Some(reason) = ignored(name) {
        return Some(format!("{name} {reason}"));
    }
    if !name.starts_with("REALTIME_") || known().any(|known| known == name) {
        return None;
    }
    Some(match nearest(name) {
        Some(known) => format!("{name}: did you mean {known}? Nothing reads it under this name"),
        None => {
            format!("{name} is not a setting of this version; `realtime check-config` lists those that are")
        }
    })
}

fn ignored(name: &str) -> Option<&'static str> {
    IGNORED.iter().find(|(ignored, _)| *ignored == name).map(|(_, reason)| *reason)
}

fn known() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

/// The known name that is most likely meant, if any is near enough.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let slips_max = 1 + (name.len() - "REALTIME_".len()) / 4;
    let distances = known().map(|known| (slips(name.as_bytes(), known.as_bytes()), known));
    distances.min().filter(|(slips, _)| *slips <= slips_max).map(|(_, known)| known)
}

/// How many slips of a typist lead from one name to the other: a letter left out, put in, exchanged, or two swapped.
fn slips(from: &[u8], to: &[u8]) -> usize {
    let mut before_last: Vec<usize> = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.iter().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, other) in to.iter().enumerate() {
            let exchanged = last[j] + usize::from(letter != other);
            row[j + 1] = exchanged.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_the_nearest_one() {
        let check = |name: &str, hint: &str| {
            let warning = warning(name).unwrap();
            assert!(warning.contains(hint), "{warning}");
        };
        check("REALTIME_PROT", "REALTIME_PROT: did you mean REALTIME_PORT?");
        check("REALTIME_JWT_SECRT", "did you mean REALTIME_JWT_SECRET?");
        check("REALTIME_MAX_CONECTIONS", "did you mean REALTIME_MAX_CONNECTIONS?");
        check("REALTIME_TLS_CERTIFICATE", "is not a setting");
        check(&format!("REALTIME_{}", "X".repeat(100_000)), "is not a setting");
        check("REALTIME_", "is not a setting");
    }

    #[test]
    fn names_that_older_servers_read_are_told_why_they_mean_nothing() {
        let check = |name: &str, hint: &str| assert!(warning(name).unwrap().contains(hint), "{name}");
        check("REALTIME_RATE_LIMIT", "REALTIME_RATE_LIMIT_POINTS");
        check("REALTIME_BATCH_SIZE", "one write");
        check("POSTGRES_HOST", "no database");
        check("DATABASE_URL", "no database");
    }

    #[test]
    fn known_and_foreign_names_deserve_no_warning() {
        for name in known().chain(["PATH", "NODE_ENV", "POSTGRES_INITDB_ARGS"]) {
            assert_eq!(warning(name), None, "{name}");
        }
    }

    #[test]
    fn every_alias_means_a_setting() {
        for (alias, name) in ALIASES {
            assert!(SETTINGS.iter().any(|setting| setting.name == *name), "{alias}");
        }
    }
}

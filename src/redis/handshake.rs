//! The first words of a connection: who we are, what the server is, and the scripts.

use protocol::redis::{Decoder, Received, Reply, push_command};

use super::address::RedisSettings;
use super::line::Line;
use super::script::Script;
use super::trouble::{Failure, Trouble};

/// The oldest version that has every command that is used.
const VERSION_MIN: (u16, u16) = (6, 2);

/// What the server said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// It is a node of a cluster.
    pub(super) is_cluster: bool,
    /// Its version, or the one whose commands it has: major and minor.
    pub(super) version: (u16, u16),
}

impl Hello {
    /// The version as its makers write it.
    pub(super) fn shown(self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
}

/// Says hello, chooses the database and loads the scripts.
///
/// # Errors
/// The server is none that can be used, now or ever.
pub(super) async fn shake_hands(
    line: &Line,
    decoder: &mut Decoder,
    settings: &RedisSettings,
    scripts: &[&'static Script],
) -> Result<Hello, Failure> {
    let mut out = Vec::new();
    let user = settings.username.as_deref().unwrap_or("default").as_bytes();
    let mut parts: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some(password) = &settings.password {
        parts.extend([&b"AUTH"[..], user, password.as_bytes()]);
    }
    parts.extend([&b"SETNAME"[..], settings.client_name.as_bytes()]);
    push_command(&mut out, &parts);
    line.write(&out).await?;
    let hello = read_reply(line, decoder, read_hello).await??;

    out.clear();
    let selects = !hello.is_cluster && settings.database != 0;
    if selects {
        push_command(&mut out, &[b"SELECT", settings.database.to_string().as_bytes()]);
    }
    for script in scripts {
        push_command(&mut out, &[b"SCRIPT", b"LOAD", script.text().as_bytes()]);
    }
    line.write(&out).await?;
    for _ in 0..usize::from(selects) + scripts.len() {
        read_reply(line, decoder, |reply| match reply {
            Reply::Error(error) => Err(refused(error)),
            _ => Ok(()),
        })
        .await??;
    }
    Ok(hello)
}

/// Waits for one reply. Pushes have no meaning yet.
async fn read_reply<R>(
    line: &Line,
    decoder: &mut Decoder,
    read: impl FnOnce(Reply<'_>) -> R,
) -> Result<R, Failure> {
    loop {
        match decoder.take() {
            Ok(Some(Received::Reply(reply))) => return Ok(read(reply)),
            Ok(Some(Received::Push(_) | Received::Message { .. })) => {}
            Err(violation) => return Err(Failure::new(Trouble::Foreign, violation.0)),
            Ok(None) => {
                line.read(decoder).await?;
            }
        }
    }
}

fn read_hello(reply: Reply<'_>) -> Result<Hello, Failure> {
    if let Reply::Error(error) = reply {
        return Err(refused(error));
    }
    let text = |name: &[u8]| {
        reply.field(name).and_then(Reply::as_text).and_then(|text| std::str::from_utf8(text).ok())
    };
    let version = text(b"version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u16>().unwrap_or(0));
    let version_numbers = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version_numbers < VERSION_MIN {
        let sentence = format!("it is version {version}; the oldest that can be used is 6.2");
        return Err(Failure::new(Trouble::Foreign, sentence));
    }
    let is_cluster = match text(b"mode") {
        Some("cluster") => true,
        Some("sentinel") => {
            return Err(Failure::new(Trouble::Foreign, "it is a sentinel, which keeps no data"));
        }
        _ => false,
    };
    if !is_cluster && text(b"role").is_some_and(|role| role != "master") {
        return Err(Failure::new(Trouble::ReadOnly, "it is a replica"));
    }
    Ok(Hello { is_cluster, version: version_numbers })
}

/// What an error in answer to the first words means. The text is the server's, and never has the password in it.
fn refused(error: &[u8]) -> Failure {
    let trouble = Trouble::of(error).unwrap_or(Trouble::Foreign);
    let text = String::from_utf8_lossy(&error[..error.len().min(200)]).into_owned();
    Failure::new(trouble, text)
}

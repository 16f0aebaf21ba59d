//! What nodes keep for each other beside channels: sessions that others may take up, absences of users, leases.

use std::rc::Rc;
use std::time::Duration;

use core_shards::cursor::RunId;
use core_shards::store::{StoreTrouble, Unanswered};
use core_shards::{ChannelName, StoreEvent, UserId};
use protocol::redis::{List, Reply, Slot};

use super::settings::LEASE_MS;
use super::{Question, State, Store, UNASKED, scripts};
use crate::rt;

/// How often the sessions of a core are kept on at most.
const RENEWAL_MIN_MS: u64 = 5_000;

/// Where a session began, as its private id says.
struct Birthplace<'a> {
    run: &'a str,
    core: u16,
}

/// Letters of a run and of a core at the beginning of a private id.
const RUN_LETTERS: usize = 8;
const CORE_LETTERS: usize = 2;

impl<'a> Birthplace<'a> {
    /// Reads a private id; `None` if no node with a store has made it.
    fn of(pid: &'a str) -> Option<Self> {
        let (run, rest) = pid.split_at_checked(RUN_LETTERS)?;
        let (core, _) = rest.split_at_checked(CORE_LETTERS)?;
        RunId::parse(run)?;
        Some(Self { run, core: core_of(core)? })
    }
}

/// The number of a core: two letters of Crockford's alphabet, the higher first.
fn core_of(letters: &str) -> Option<u16> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |letter: u8| ALPHABET.iter().position(|one| *one == letter);
    let number = letters.bytes().try_fold(0, |number, letter| Some(32 * number + digit(letter)?))?;
    u16::try_from(number).ok()
}

/// Keeps the sessions of a core on as long as it lives. Wakes by the clock, ends with the core.
pub(super) async fn run_renewal(store: Rc<Store>) {
    let core = store.core;
    let pause = Duration::from_millis(store.renewal_ms());
    let key = store.keys.sessions(store.run.as_str(), core.0);
    let slot = store.keys.slot(store.keys.partition_of_core(core.0));
    loop {
        rt::sleep(pause).await;
        if store.state.borrow().has_sessions {
            store.client.command(slot, UNASKED, &[b"PEXPIRE", &key, store.sessions_life().as_bytes()]);
        }
    }
}

impl Store {
    fn renewal_ms(&self) -> u64 {
        (self.settings.session_life_ms / 4).max(RENEWAL_MIN_MS)
    }

    /// How long a core's sessions are kept from a renewal on.
    fn sessions_life(&self) -> String {
        (self.settings.session_life_ms + self.renewal_ms()).to_string()
    }

    pub(super) fn keep_session(&self, state: &mut State, pid: &str, record: &[u8], ticket: u64) {
        let Some(birthplace) = Birthplace::of(pid) else {
            return state.refuse(Unanswered::KeepSession(ticket), StoreTrouble::Unable);
        };
        let slot = self.keys.slot(self.keys.partition_of_core(birthplace.core));
        if birthplace.run == self.run.as_str() {
            state.has_sessions = true;
            let key = self.keys.sessions(birthplace.run, birthplace.core);
            let tag = state.note(Question::Keep(ticket));
            self.client.command(slot, tag, &[b"HSET", &key, pid.as_bytes(), record]);
            self.client.command(slot, UNASKED, &[b"PEXPIRE", &key, self.sessions_life().as_bytes()]);
        } else {
            let key = self.keys.session(pid, birthplace.core);
            let life = self.settings.session_life_ms.to_string();
            let tag = state.note(Question::Keep(ticket));
            self.client.command(slot, tag, &[b"SET", &key, record, b"PX", life.as_bytes()]);
        }
    }

    pub(super) fn drop_session(&self, pid: &str) {
        let Some(birthplace) = Birthplace::of(pid) else { return };
        let slot = self.keys.slot(self.keys.partition_of_core(birthplace.core));
        if birthplace.run == self.run.as_str() {
            let key = self.keys.sessions(birthplace.run, birthplace.core);
            self.client.command(slot, UNASKED, &[b"HDEL", &key, pid.as_bytes()]);
        } else {
            self.client.command(slot, UNASKED, &[b"DEL", &self.keys.session(pid, birthplace.core)]);
        }
    }

    /// Takes a session; what cannot be one is not there.
    pub(super) fn take_session(&self, state: &mut State, pid: &str, ticket: u64) -> Option<StoreEvent> {
        let Some(birthplace) = Birthplace::of(pid) else {
            return Some(StoreEvent::Taken { ticket, record: None });
        };
        let keys =
            [self.keys.session(pid, birthplace.core), self.keys.sessions(birthplace.run, birthplace.core)];
        let slot = self.keys.slot(self.keys.partition_of_core(birthplace.core));
        let keys = keys.each_ref().map(|key| &key[..]);
        self.ask(state, Question::Take(ticket), slot, &scripts::TAKE, &keys, &[pid.as_bytes()]);
        None
    }

    pub(super) fn note_absences(&self, state: &mut State, user: UserId, channels: &[(ChannelName, Vec<u8>)]) {
        let partition = self.partition_of(&user);
        let key = self.keys.absences(partition, &user);
        let life = self.settings.absence_life_ms.to_string();
        let mut arguments = vec![life.as_bytes()];
        arguments.extend(channels.iter().flat_map(|(channel, known)| [channel.as_bytes(), known]));
        let slot = self.keys.slot(partition);
        self.ask(state, Question::NoteAbsences(user), slot, &scripts::NOTE_ABSENCES, &[&key], &arguments);
    }

    pub(super) fn ask_absences(&self, state: &mut State, user: &str, ticket: u64) {
        let partition = self.partition_of(user);
        let tag = state.note(Question::AskAbsences(ticket));
        let key = self.keys.absences(partition, user);
        self.client.command(self.keys.slot(partition), tag, &[b"HGETALL", &key]);
    }

    pub(super) fn end_absence(&self, user: &str, channel: &str) {
        let partition = self.partition_of(user);
        let key = self.keys.absences(partition, user);
        self.client.command(self.keys.slot(partition), UNASKED, &[b"HDEL", &key, channel.as_bytes()]);
    }

    pub(super) fn renew(&self, state: &mut State, generation: u32, is_last: bool) {
        let key = self.keys.leases();
        let name = format!("{}{generation}", self.run.as_str());
        let slot = self.keys.slot(core_shards::Partition(0));
        let arguments = [name.as_bytes(), LEASE_MS.to_string().as_bytes(), if is_last { b"1" } else { b"0" }]
            .map(<[u8]>::to_vec);
        let arguments = arguments.each_ref().map(|argument| &argument[..]);
        self.ask(state, Question::Renew, slot, &scripts::RENEW, &[&key], &arguments);
        let tag = state.note(Question::Partitions);
        let (key, own) = (&self.keys.partitions, self.settings.partitions.to_string());
        let life = LEASE_MS.to_string();
        let parts: [&[u8]; 6] = [b"SET", key, own.as_bytes(), b"PX", life.as_bytes(), b"GET"];
        self.client.command(Slot::of(key), tag, &parts);
    }

    /// Nodes that spread channels over other partitions do not meet this one: said as often as it is found.
    pub(super) fn compare_partitions(&self, reply: Result<Reply<'_>, StoreTrouble>) {
        let Ok(Reply::Text(theirs)) = reply else { return };
        let (own, theirs) = (self.settings.partitions.to_string(), String::from_utf8_lossy(theirs));
        if own != theirs && !self.is_at_odds.replace(true) {
            tracing::error!(
                own, %theirs,
                "another node has another REALTIME_REDIS_PARTITIONS: the two do not hear each other; write the same on all"
            );
        }
    }

    pub(super) fn taken(state: &mut State, ticket: u64, reply: Result<Reply<'_>, StoreTrouble>) {
        match reply {
            Ok(reply) => {
                let record = reply.as_text().map(<[u8]>::to_vec);
                state.events.push(StoreEvent::Taken { ticket, record });
            }
            Err(reason) => state.refuse(Unanswered::TakeSession(ticket), reason),
        }
    }

    pub(super) fn told_absences(state: &mut State, ticket: u64, reply: Result<Reply<'_>, StoreTrouble>) {
        match reply.map(|reply| reply.as_list().and_then(read_absences)) {
            Ok(Some(channels)) => state.events.push(StoreEvent::Absences { ticket, channels }),
            Ok(None) => state.refuse(Unanswered::AskAbsences(ticket), StoreTrouble::Unable),
            Err(reason) => state.refuse(Unanswered::AskAbsences(ticket), reason),
        }
    }

    pub(super) fn renewed(&self, state: &mut State, reply: Result<Reply<'_>, StoreTrouble>) {
        match reply {
            Ok(reply) => match read_leases(reply) {
                Some(leases) => state.events.push(leases),
                None => {
                    self.puzzle("leases", &reply);
                    state.refuse(Unanswered::Renew, StoreTrouble::Unable);
                }
            },
            Err(reason) => state.refuse(Unanswered::Renew, reason),
        }
    }
}

fn read_absences(list: List<'_>) -> Option<Vec<(ChannelName, Vec<u8>)>> {
    let mut texts = list.iter().map(Reply::as_text);
    let mut channels = Vec::with_capacity(list.len());
    while let (Some(channel), Some(known)) = (texts.next(), texts.next()) {
        channels.push((std::str::from_utf8(channel?).ok()?.into(), known?.to_vec()));
    }
    Some(channels)
}

fn read_leases(reply: Reply<'_>) -> Option<StoreEvent> {
    let mut parts = reply.as_list()?.iter();
    let was_held = parts.next()?.as_integer()? == 1;
    let was_any = parts.next()?.as_integer()? == 1;
    let lease = |name: Reply<'_>| {
        let name = std::str::from_utf8(name.as_text()?).ok()?;
        let (run, generation) = name.split_at_checked(RUN_LETTERS)?;
        Some((RunId::parse(run)?, generation.parse().ok()?))
    };
    let alive = parts.next()?.as_list()?.iter().map(lease).collect::<Option<Vec<_>>>()?;
    Some(StoreEvent::Leases { was_held, was_any, alive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_id_says_where_its_session_began() {
        let check = |pid: &str, expected: Option<(&str, u16)>| {
            assert_eq!(Birthplace::of(pid).map(|place| (place.run, place.core)), expected, "{pid}");
        };
        check("AAAAAAAA01secret", Some(("AAAAAAAA", 1)));
        check("ABCDEFGH10secret", Some(("ABCDEFGH", 32)));
        check("ABCDEFGHZZ", Some(("ABCDEFGH", 1_023)));
        check("ABCDEFGH1", None);
        check("abcdefgh01", None);
        check("ABCDEFGHüsecret", None);
        check("", None);
    }
}

//! The scripts that run inside of Redis. Each head says what it takes and answers; each touches one slot.

use crate::redis::Script;

/// Appends publications of a partition.
pub(super) static APPEND: Script = Script::new(include_str!("scripts/append.lua"));
/// Tells all that is kept of a channel.
pub(super) static OPEN: Script = Script::new(include_str!("scripts/open.lua"));
/// Tells what followed on channels.
pub(super) static CATCH_UP: Script = Script::new(include_str!("scripts/catch_up.lua"));
/// Begins a new epoch of a partition.
pub(super) static RENOUNCE: Script = Script::new(include_str!("scripts/renounce.lua"));
/// Gives a session to one node.
pub(super) static TAKE: Script = Script::new(include_str!("scripts/take.lua"));
/// Renews a lease.
pub(super) static RENEW: Script = Script::new(include_str!("scripts/renew.lua"));
/// Notes absences of a user.
pub(super) static NOTE_ABSENCES: Script = Script::new(include_str!("scripts/note_absences.lua"));

/// All of them, for connections to load.
pub(super) fn all() -> Vec<&'static Script> {
    vec![&APPEND, &OPEN, &CATCH_UP, &RENOUNCE, &TAKE, &RENEW, &NOTE_ABSENCES]
}

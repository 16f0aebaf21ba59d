//! What other nodes tell of users, on the core that hears the users' partition: whether all of it came, and on to the
//! homes of the users.

use protocol::relay::signal::{Change, Changes, Lane, Word};

use super::lanes::Step;
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{CoreId, Partition};
use crate::mail::{Elsewhere as Letter, LaneKey, Refresh, Tales};
use crate::outputs::Outputs;
use crate::shard::{RateClass, Shard};
use crate::store::Topic;

impl Shard {
    /// The feed of a partition is heard again: whatever was told meanwhile is missing, here and elsewhere.
    pub(in crate::shard) fn meet_partition(&mut self, partition: Partition, now: Now, out: &mut Outputs) {
        self.signal(Topic::Presence(partition), Word::Hello);
        self.post_to_all(|| Letter::TellHeads(partition), out);
        self.tell_heads(now);
    }

    /// Another run says something on the topic of a partition.
    pub(super) fn hear_presence(
        &mut self,
        partition: Partition,
        run: RunId,
        word: &Word<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        match word {
            Word::Hello => self.post_to_all(|| Letter::TellHeads(partition), out),
            Word::Head(lane) => {
                let key = LaneKey { run, core: lane.core, partition };
                if self.hears(key, *lane, out) {
                    let step = self.elsewhere.lanes.hear_head(key, *lane, now.monotonic_ms());
                    self.ask_if_wanted(key, step);
                }
            }
            Word::Ask { of, core } => {
                if *of == self.run.as_str() && *core < self.placement.core_count() {
                    self.post_elsewhere(CoreId(*core), Letter::TellState(partition), out);
                }
            }
            Word::Changes(changes) => self.hear_changes(partition, run, changes, now, out),
            Word::Spent { user, class } => {
                if let Some(class) = RateClass::of_number(*class) {
                    let home = self.placement.home_of_user(user);
                    self.post_elsewhere(home, Letter::Spent((*user).into(), class), out);
                }
            }
            Word::Notified { user, name, id } => {
                let home = self.placement.home_of_user(user);
                let letter =
                    Letter::Notified { user: (*user).into(), name: (*name).into(), id: id.map(Into::into) };
                self.post_elsewhere(home, letter, out);
            }
            _ => self.metrics.signals_refused.increment(),
        }
    }

    /// Whether a lane is worth hearing: its run is not dead. Core 0 gets to know of a run that is new here.
    fn hears(&mut self, key: LaneKey, lane: Lane, out: &mut Outputs) -> bool {
        if self.elsewhere.dead.has(key.run, lane.generation) {
            self.metrics.signals_void.increment();
            return false;
        }
        if !self.elsewhere.lanes.knows(key, lane.generation) {
            self.post_elsewhere(CoreId(0), Letter::Met(key.run, lane.generation), out);
        }
        true
    }

    fn ask_if_wanted(&mut self, key: LaneKey, step: Step) {
        if step == Step::Ask {
            self.ask_for_state(key);
        }
    }

    /// Asks for the whole state of a lane.
    pub(super) fn ask_for_state(&mut self, key: LaneKey) {
        self.metrics.presence_states_asked.increment();
        let word = Word::Ask { of: key.run.as_str(), core: key.core };
        self.signal(Topic::Presence(key.partition), word);
    }

    fn hear_changes(
        &mut self,
        partition: Partition,
        run: RunId,
        changes: &Changes<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let key = LaneKey { run, core: changes.lane.core, partition };
        let Some(list) = changes.list() else { return self.metrics.signals_refused.increment() };
        if !self.hears(key, changes.lane, out) {
            return;
        }
        let (lanes, now_ms) = (&mut self.elsewhere.lanes, now.monotonic_ms());
        let step = match changes.piece {
            Some(piece) => lanes.hear_piece(key, changes.lane, piece, now_ms),
            None => lanes.hear_changes(key, changes.lane, list.len() as u64, now_ms),
        };
        let refresh = match step {
            Step::Ignore => return,
            Step::Ask => return self.ask_for_state(key),
            Step::Apply => None,
            Step::Refresh { mark, is_last } => Some(Refresh { mark, is_last }),
        };
        self.distribute(key, changes, &list, refresh, out);
    }

    /// Sends changes on to the homes of their users.
    fn distribute(
        &mut self,
        key: LaneKey,
        changes: &Changes<'_>,
        list: &[Change<'_>],
        refresh: Option<Refresh>,
        out: &mut Outputs,
    ) {
        let generation = changes.lane.generation;
        let core_count = usize::from(self.placement.core_count());
        let mut by_core: Vec<Vec<u8>> = vec![Vec::new(); core_count];
        match by_core.as_mut_slice() {
            [only] => changes.bytes.clone_into(only),
            many => {
                for change in list {
                    let home = self.placement.home_of_user(change.user());
                    change.write(&mut many[home.index()]);
                }
            }
        }
        let concerns_all = refresh.is_some_and(|refresh| refresh.is_last);
        for (core, changes) in (0..).zip(by_core) {
            if concerns_all || !changes.is_empty() {
                let tales = Tales { lane: key, generation, refresh, changes };
                self.post_elsewhere(CoreId(core), Letter::Tales(tales), out);
            }
        }
    }
}

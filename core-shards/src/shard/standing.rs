//! One user's presence, made of what all of the user's devices say: the status and the line of text that others see.
//!
//! Knows no sessions and no grace: whoever owns those says which devices count.

use protocol::chat::status::{CustomStatus, Status};

fn is_over(custom: &CustomStatus, now_unix_ms: u64) -> bool {
    custom.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_unix_ms)
}

/// What an update wants of the custom status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    /// It was not mentioned.
    Same,
    /// It is taken away.
    Nothing,
    /// It becomes this.
    This(CustomStatus),
}

/// What a device says of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// What the same session said last, if anything. Clients repeat themselves every half minute, and a device that
    /// repeats "online" has no opinion on the "do not disturb" that was chosen on another one since.
    pub(super) before: Option<Status>,
    /// What it says.
    pub(super) status: Status,
    /// The text beside it.
    pub(super) saying: Saying,
}

/// What others may see of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visible<'a> {
    /// The status; invisible users are offline.
    pub(super) status: Status,
    /// The custom status; nobody offline has one.
    pub(super) custom: Option<&'a CustomStatus>,
    /// When the user was last there as far as others may know, in milliseconds since the epoch.
    pub(super) last_seen_unix_ms: u64,
}

/// The presence of one user.
///
/// ```text
///                   a device changes to dnd or offline
///      most available  ----------------------------->  as chosen,
///      of the devices  <-----------------------------  whatever the others say
///                   a device changes to online or away
/// ```
#[derive(Debug)]
pub(super) struct Standing {
    /// [`Status::Dnd`] or [`Status::Offline`], if the user chose it.
    explicit: Option<Status>,
    /// What others were last told.
    shown: Status,
    /// What the counters know of it.
    counted: Status,
    custom: Option<Box<CustomStatus>>,
    last_seen_unix_ms: u64,
}

impl Default for Standing {
    /// Somebody who has never been here: offline.
    fn default() -> Self {
        Self {
            explicit: None,
            shown: Status::Offline,
            counted: Status::Offline,
            custom: None,
            last_seen_unix_ms: 0,
        }
    }
}

impl Standing {
    /// A device says something. `said` is what each device that counts said last, this one already included; `None`
    /// of one that said nothing yet is as good as [`Status::Online`]. Returns whether others see a change.
    pub(super) fn update(
        &mut self,
        update: Update,
        said: impl IntoIterator<Item = Option<Status>>,
        now_unix_ms: u64,
    ) -> bool {
        if update.before != Some(update.status) {
            let is_choice = matches!(update.status, Status::Dnd | Status::Offline);
            self.explicit = is_choice.then_some(update.status);
        }
        let was_over = self.drop_if_over(now_unix_ms);
        let saying = match update.saying {
            Saying::This(custom) if is_over(&custom, now_unix_ms) => Saying::Nothing,
            saying => saying,
        };
        let is_new_custom = was_over || !self.is_same(&saying);
        match saying {
            Saying::Same => {}
            Saying::Nothing => self.custom = None,
            Saying::This(custom) => self.custom = Some(Box::new(custom)),
        }
        let is_new_status = self.settle(said, now_unix_ms);
        self.seen(now_unix_ms);
        is_new_status || is_new_custom && self.shown != Status::Offline
    }

    /// Whether an update is a sign of life and no more: it says what the same session said before, and the same text.
    pub(super) fn is_heartbeat(&self, update: &Update) -> bool {
        let is_repeat = match update.before {
            Some(before) => before == update.status,
            None => update.status == Status::Online && self.explicit.is_none(),
        };
        is_repeat && self.is_same(&update.saying)
    }

    /// A device came or went for good. `said` is as in [`update`](Self::update). Without any device the user is offline,
    /// and what was chosen is forgotten: nobody comes back invisible who does not know of it any more. Returns whether
    /// others see a change.
    pub(super) fn settle(
        &mut self,
        said: impl IntoIterator<Item = Option<Status>>,
        now_unix_ms: u64,
    ) -> bool {
        let most_available = said.into_iter().map(|said| said.unwrap_or(Status::Online)).min();
        if most_available.is_none() {
            (self.explicit, self.custom) = (None, None);
        }
        let status = most_available.map_or(Status::Offline, |status| self.explicit.unwrap_or(status));
        let before = std::mem::replace(&mut self.shown, status);
        // Somebody without a device was last seen when the last one was lost; somebody invisible, before that.
        if most_available.is_some() && before != status && [before, status].contains(&Status::Offline) {
            self.last_seen_unix_ms = now_unix_ms;
        }
        before != status
    }

    /// The user did something, or a device was lost that may come back: seen, unless invisible.
    pub(super) fn seen(&mut self, now_unix_ms: u64) {
        if self.shown != Status::Offline {
            self.last_seen_unix_ms = now_unix_ms;
        }
    }

    /// Other nodes saw the user then.
    pub(super) fn was_seen(&mut self, unix_ms: u64) {
        self.last_seen_unix_ms = self.last_seen_unix_ms.max(unix_ms);
    }

    /// Whether others see the user.
    pub(super) fn is_shown(&self) -> bool {
        self.shown != Status::Offline
    }

    /// The status and the text that the user chose.
    pub(super) fn choices(&self) -> (Option<Status>, Option<&CustomStatus>) {
        (self.explicit, self.custom.as_deref())
    }

    /// What the user chose, as other nodes and this one know it together. Returns whether others see another text, which
    /// is only looked at if `is_custom_new`. To be settled after that.
    pub(super) fn adopt(
        &mut self,
        explicit: Option<Status>,
        custom: Option<&CustomStatus>,
        is_custom_new: bool,
        now_unix_ms: u64,
    ) -> bool {
        self.explicit = explicit;
        if !is_custom_new {
            return false;
        }
        let custom = custom.filter(|custom| !is_over(custom, now_unix_ms));
        let is_other = self.custom.as_deref() != custom;
        self.custom = custom.cloned().map(Box::new);
        is_other && self.is_shown()
    }

    /// Drops a custom status that is over. Returns whether others see a change.
    pub(super) fn expire(&mut self, now_unix_ms: u64) -> bool {
        self.drop_if_over(now_unix_ms) && self.shown != Status::Offline
    }

    /// When the custom status is over, in milliseconds since the epoch.
    pub(super) fn next_end_unix_ms(&self) -> Option<u64> {
        self.custom.as_ref()?.expires_at_ms
    }

    /// What others may see.
    pub(super) fn visible(&self, now_unix_ms: u64) -> Visible<'_> {
        let custom = self.custom.as_deref().filter(|custom| !is_over(custom, now_unix_ms));
        Visible {
            status: self.shown,
            custom: custom.filter(|_| self.shown != Status::Offline),
            last_seen_unix_ms: self.last_seen_unix_ms,
        }
    }

    /// What others were told when this was last called, and what they are told now: for counters. Users without a device
    /// here are another node's to count.
    pub(super) fn recount(&mut self, counts_here: bool) -> (Status, Status) {
        let current = if counts_here { self.shown } else { Status::Offline };
        (std::mem::replace(&mut self.counted, current), current)
    }

    fn is_same(&self, saying: &Saying) -> bool {
        match saying {
            Saying::Same => true,
            Saying::Nothing => self.custom.is_none(),
            Saying::This(custom) => self.custom.as_deref() == Some(custom),
        }
    }

    fn drop_if_over(&mut self, now_unix_ms: u64) -> bool {
        self.custom.take_if(|custom| is_over(custom, now_unix_ms)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Away, Dnd, Offline, Online};

    fn update(before: Option<Status>, status: Status) -> Update {
        Update { before, status, saying: Saying::Same }
    }

    fn custom(text: &str, expires_at_ms: Option<u64>) -> CustomStatus {
        CustomStatus { text: Some(text.into()), emoji: None, expires_at_ms }
    }

    /// A user with devices that each know what they said last.
    #[derive(Default)]
    struct Devices {
        standing: Standing,
        said: Vec<Option<Status>>,
        now_ms: u64,
    }

    impl Devices {
        fn connect(&mut self) -> bool {
            self.said.push(None);
            self.standing.settle(self.said.iter().copied(), self.now_ms)
        }

        fn say(&mut self, device: usize, status: Status) -> bool {
            let before = self.said[device].replace(status);
            self.standing.update(update(before, status), self.said.iter().copied(), self.now_ms)
        }

        fn disconnect(&mut self, device: usize) -> bool {
            self.said.remove(device);
            self.standing.settle(self.said.iter().copied(), self.now_ms)
        }

        fn shown(&self) -> Status {
            self.standing.visible(self.now_ms).status
        }

        fn last_seen(&self) -> u64 {
            self.standing.visible(self.now_ms).last_seen_unix_ms
        }
    }

    #[test]
    fn the_most_available_device_counts() {
        let mut devices = Devices::default();
        assert_eq!(devices.shown(), Offline);
        assert!(devices.connect());
        assert_eq!(devices.shown(), Online);
        assert!(!devices.connect());
        assert!(!devices.say(0, Away));
        assert!(devices.say(1, Away));
        assert_eq!(devices.shown(), Away);
        assert!(devices.connect());
        assert_eq!(devices.shown(), Online);
        assert!(devices.disconnect(2));
        assert!(!devices.disconnect(1));
        assert!(devices.disconnect(0));
        assert_eq!(devices.shown(), Offline);
    }

    #[test]
    fn what_was_chosen_wins_until_a_device_changes_its_mind() {
        for chosen in [Dnd, Offline] {
            let mut devices = Devices::default();
            devices.connect();
            devices.connect();
            devices.say(1, Online);
            assert!(devices.say(0, chosen));
            assert!(!devices.connect());
            assert_eq!(devices.shown(), chosen);
            assert!(!devices.say(1, Online), "a repeat is a sign of life");
            assert!(!devices.say(0, chosen));
            assert_eq!(devices.shown(), chosen);
            assert!(devices.say(1, Away));
            // The third device has said nothing and is there.
            assert_eq!(devices.shown(), Online);
            assert!(!devices.say(0, chosen), "a repeat does not choose again");
        }
    }

    #[test]
    fn a_device_that_said_nothing_yet_may_lift_what_was_chosen() {
        let mut devices = Devices::default();
        devices.connect();
        devices.say(0, Dnd);
        devices.connect();
        assert!(devices.say(1, Online));
        assert_eq!(devices.shown(), Online);
        assert!(devices.disconnect(1));
        assert_eq!(devices.shown(), Dnd, "the other device still says so");
    }

    #[test]
    fn the_last_sight_of_somebody_invisible_is_when_they_hid() {
        let mut devices = Devices { now_ms: 10, ..Devices::default() };
        devices.connect();
        devices.now_ms = 20;
        devices.say(0, Offline);
        devices.now_ms = 30;
        devices.say(0, Offline);
        devices.standing.seen(30);
        devices.connect();
        devices.disconnect(0);
        assert!(!devices.disconnect(0));
        assert_eq!((devices.shown(), devices.last_seen()), (Offline, 20));
    }

    #[test]
    fn the_last_sight_of_somebody_gone_is_when_the_last_device_was_lost() {
        let mut devices = Devices { now_ms: 10, ..Devices::default() };
        devices.connect();
        devices.standing.seen(20);
        devices.now_ms = 30_020;
        assert!(devices.disconnect(0));
        assert_eq!((devices.shown(), devices.last_seen()), (Offline, 20));
    }

    #[test]
    fn a_custom_status_is_seen_until_it_ends_and_never_offline() {
        let mut standing = Standing::default();
        let one = [Some(Online)];
        let say = |standing: &mut Standing, status, saying, now| {
            standing.update(Update { before: Some(Online), status, saying }, one, now)
        };
        let lunch = custom("lunch", Some(100));
        assert!(say(&mut standing, Online, Saying::This(lunch.clone()), 0));
        assert!(!say(&mut standing, Online, Saying::This(lunch.clone()), 1));
        assert!(!say(&mut standing, Online, Saying::Same, 2));
        assert_eq!((standing.visible(99).custom, standing.visible(100).custom), (Some(&lunch), None));
        assert_eq!(standing.next_end_unix_ms(), Some(100));
        assert!(!standing.expire(99));
        assert!(standing.expire(100));
        assert!(!standing.expire(100) && standing.next_end_unix_ms().is_none());
        assert!(!say(&mut standing, Online, Saying::This(lunch), 100), "it was over before it began");
        assert!(say(&mut standing, Online, Saying::This(custom("back", None)), 101));
        assert!(say(&mut standing, Offline, Saying::Same, 102));
        assert_eq!(standing.visible(102).custom, None);
        let hidden =
            Update { before: Some(Offline), status: Offline, saying: Saying::This(custom("x", None)) };
        assert!(!standing.update(hidden, [Some(Offline)], 103));
        assert!(standing.update(update(Some(Offline), Online), one, 104));
        assert_eq!(standing.visible(104).custom, Some(&custom("x", None)));
        assert!(say(&mut standing, Online, Saying::Nothing, 105));
        assert!(!say(&mut standing, Online, Saying::Nothing, 106));
    }

    #[test]
    fn a_heartbeat_is_recognised_before_it_is_counted() {
        let mut standing = Standing::default();
        standing.settle([None], 0);
        let check = |standing: &Standing, before, status, saying, expected| {
            let update = Update { before, status, saying };
            assert_eq!(standing.is_heartbeat(&update), expected, "{update:?}");
        };
        check(&standing, None, Online, Saying::Same, true);
        check(&standing, None, Away, Saying::Same, false);
        check(&standing, Some(Away), Away, Saying::Nothing, true);
        check(&standing, Some(Away), Away, Saying::This(custom("x", None)), false);
        standing.update(update(None, Dnd), [Some(Dnd), None], 0);
        check(&standing, None, Online, Saying::Same, false);
        check(&standing, Some(Dnd), Dnd, Saying::Same, true);
    }

    #[test]
    fn a_user_without_a_custom_status_costs_three_words() {
        assert_eq!(size_of::<Standing>(), 24);
    }

    #[test]
    fn the_status_follows_from_the_list_of_everything_said() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut devices = Devices::default();
            // Everything that any device changed to, in order.
            let (mut changes, mut shown) = (Vec::new(), Offline);
            for _ in 0..60 {
                let device = random.usize(..devices.said.len().max(1));
                let is_told = match random.u8(..6) {
                    0 | 1 if devices.said.len() < 4 => devices.connect(),
                    2 if !devices.said.is_empty() => {
                        let is_told = devices.disconnect(device);
                        if devices.said.is_empty() {
                            changes.clear();
                        }
                        is_told
                    }
                    _ if devices.said.is_empty() => continue,
                    _ => {
                        let status = [Online, Away, Dnd, Offline][random.usize(..4)];
                        if devices.said[device] != Some(status) {
                            changes.push(status);
                        }
                        devices.say(device, status)
                    }
                };
                let chosen = changes.last().filter(|status| matches!(status, Dnd | Offline));
                let expected = [Online, Away, Dnd, Offline]
                    .into_iter()
                    .find(|status| devices.said.iter().any(|said| said.unwrap_or(Online) == *status))
                    .map_or(Offline, |status| *chosen.unwrap_or(&status));
                assert_eq!(devices.shown(), expected, "seed {seed}: {changes:?}");
                assert_eq!(is_told, expected != shown, "seed {seed}: {changes:?}");
                shown = expected;
            }
        }
    }
}

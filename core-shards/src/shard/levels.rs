//! How full a shard's tables are: looked up once in a while, because keeping count of every change would cost more.

use super::Shard;

impl Shard {
    /// Brings the gauges up to date that are not kept by every change. Cheap: no table is walked.
    pub fn measure(&self) {
        let metrics = &self.metrics;
        metrics.history_bytes.set(self.homes.history_bytes as u64);
        metrics.journal_entries.set(self.journal.count() as u64);
        metrics.journal_bytes.set(self.journal.bytes() as u64);
        metrics.receipts.set(self.receipts.count() as u64);
        metrics.access_entries.set(self.access.count() as u64);
        metrics.followed.set(self.followers.count() as u64);
        metrics.deadlines.set(self.deadlines.entry_count() as u64);
        metrics.users.set(self.users.count() as u64);
        metrics.remotes.set(self.elsewhere.remote_count() as u64);
        metrics.venues.set(self.elsewhere.venue_count() as u64);
        metrics.nodes_alive.set(self.elsewhere.live_count() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Ending;
    use super::super::trial::Trial;
    use crate::ids::SessionId;
    use crate::limits::Limits;

    /// One slot's user and session.
    type Connected = BTreeMap<u32, (u32, SessionId)>;

    fn step(trial: &mut Trial, random: &mut fastrand::Rng, connected: &mut Connected) {
        let slot = random.u32(..8);
        let channel = random.u32(..3);
        let Some((_, session)) = connected.get(&slot).copied() else {
            let user = random.u32(..4);
            let session = match random.bool() {
                true => trial.connect(slot, &user.to_string(), None),
                false => trial.connect_durable(slot, &user.to_string(), None),
            };
            connected.insert(slot, (user, session));
            return;
        };
        let status = random.choice(["online", "away", "dnd", "offline"]).unwrap();
        match random.u8(..8) {
            0 => {
                connected.remove(&slot);
                trial.end(session, *random.choice(&[Ending::Left, Ending::Lost]).unwrap());
            }
            1 | 2 => {
                drop(trial.event(session, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), None))
            }
            3 => {
                drop(trial.event(session, &format!(r#"["channel:leave",{{"channelId":"{channel}"}}]"#), None))
            }
            4 => drop(trial.event(session, &format!(r#"["presence:update",{{"status":"{status}"}}]"#), None)),
            5 => drop(trial.pass(random.u64(..40_000))),
            _ => trial.say(session, &channel.to_string(), "x"),
        }
    }

    #[test]
    fn gauges_agree_with_the_tables_and_come_back_to_nothing() {
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut trial = Trial::new(Limits { history_size_max: 5, ..Limits::default() });
            let mut connected = Connected::new();
            for _ in 0..150 {
                step(&mut trial, &mut random, &mut connected);
                let (holdings, metrics) = (trial.shard.holdings(), &trial.metrics);
                let mut users: Vec<u32> = connected.values().map(|(user, _)| *user).collect();
                users.sort_unstable();
                users.dedup();
                let counted = [
                    &metrics.sessions,
                    &metrics.users_connected,
                    &metrics.detached,
                    &metrics.history_entries,
                ];
                let expected = [connected.len(), users.len(), holdings.detached, holdings.history];
                assert_eq!(counted.map(|gauge| gauge.get() as usize), expected, "seed {seed}");
                let shown: u64 = metrics.users_shown[..3].iter().map(|gauge| gauge.get()).sum();
                assert!(shown as usize <= holdings.users, "seed {seed}: {shown} are seen");
                assert!(metrics.channels_idle.get() <= metrics.channels.get(), "seed {seed}");
            }
            for (_, session) in connected.into_values() {
                trial.end(session, Ending::Lost);
            }
            // Channels remember for a day who was there.
            for _ in 0..100 {
                trial.pass(1_000_000);
            }
            trial.shard.measure();
            let metrics = &trial.metrics;
            let gauges = [
                &metrics.sessions,
                &metrics.users,
                &metrics.users_connected,
                &metrics.channels,
                &metrics.channels_idle,
                &metrics.subscriptions,
                &metrics.detached,
                &metrics.history_entries,
                &metrics.history_bytes,
                &metrics.journal_entries,
                &metrics.journal_bytes,
                &metrics.receipts,
                &metrics.deadlines,
            ];
            assert_eq!(gauges.map(|gauge| gauge.get()), [0; 13], "seed {seed}");
            assert!(
                metrics.users_shown.iter().all(|gauge| gauge.get() == 0),
                "seed {seed}: {:?}",
                metrics.users_shown
            );
        }
    }
}

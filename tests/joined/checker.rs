//! What must be true in a quiet moment: nobody got anything twice, everybody got the same order, and whatever somebody did
//! not get was announced.

use std::collections::{BTreeMap, BTreeSet};

use core_shards::store::Stored;
use protocol::relay::Message;

use crate::clients::{Client, Entry, Word};
use crate::world::World;

type Checked = Result<(), String>;

/// Which message has which place, as anybody was told or the store has it.
#[derive(Default)]
struct Places {
    by_offset: BTreeMap<(String, String, u64), u64>,
}

impl Places {
    fn note(&mut self, channel: &str, epoch: &str, offset: u64, number: u64) -> Checked {
        let place = (channel.to_owned(), epoch.to_owned(), offset);
        match self.by_offset.insert(place, number) {
            Some(other) if other != number => {
                Err(format!("offset {offset} of {channel} in {epoch} is {other} and {number}"))
            }
            _ => Ok(()),
        }
    }
}

/// The number of a message that the store has.
fn number_of(stored: &Stored) -> Option<u64> {
    let message = Message::read(&stored.payload)?;
    let body = std::str::from_utf8(message.body).ok()?;
    let (_, rest) = body.split_once(r#""content":""#)?;
    rest.split_once('"')?.0.parse().ok()
}

impl World {
    pub(crate) fn check(&mut self) -> Checked {
        let mut kept = BTreeMap::new();
        let mut places = Places::default();
        for channel in self.sent.values().map(|sent| sent.channel.clone()).collect::<BTreeSet<_>>() {
            let Some((epoch, tail)) = self.store.kept(&channel) else { continue };
            let epoch = epoch.as_str().to_owned();
            for stored in &tail {
                let number = number_of(stored).ok_or("what the store has cannot be read")?;
                places.note(&channel, &epoch, stored.place.offset.0, number)?;
            }
            kept.insert(channel, (epoch, tail));
        }
        // What a store forgot may be given out anew by nodes that had not heard of it, until one that had renounces the
        // epoch: then those who have the one are told, and those who have the other.
        let counts = |_: &&Client| self.forgot.is_empty();
        for client in self.clients.iter().filter(counts) {
            for (channel, log) in &client.log {
                note_places(&mut places, channel, log)
                    .map_err(|error| format!("{:?}: {error}", client.seat))?;
            }
        }
        let unknown = Places::default();
        for client in &self.clients {
            let places = if counts(&client) { &places } else { &unknown };
            for (channel, log) in &client.log {
                let checked = self.check_log(channel, log, places);
                checked.map_err(|error| format!("{:?} in {channel}: {error}\n{log:?}", client.seat))?;
            }
            if client.is_there {
                self.check_present(client, &kept).map_err(|error| format!("{:?}: {error}", client.seat))?;
            }
        }
        self.check_taken(&kept)?;
        for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_dead) {
            if node.waiting_count() > 0 {
                return Err(format!("node {number} waits for the store"));
            }
            let adrift: u64 = (0..node.core_count())
                .map(|core| &node.metrics(core).partitions)
                .map(|states| states[0].get() + states[1].get())
                .sum();
            if adrift > 0 {
                return Err(format!("node {number} does not hear {adrift} partitions"));
            }
        }
        Ok(())
    }

    /// One client in one channel: nothing twice, rising offsets without a hole that is not known to be had, and each
    /// sender's messages in their order.
    fn check_log(&self, channel: &str, log: &[Entry], places: &Places) -> Checked {
        let mut had = BTreeSet::new();
        let mut position: Option<(String, u64)> = None;
        let mut joined_step = 0;
        let mut last_of_sender = BTreeMap::new();
        for Entry { step, word } in log {
            match word {
                Word::Joined { epoch, offset } => {
                    position = Some((epoch.clone(), *offset));
                    joined_step = *step;
                    last_of_sender.clear();
                }
                Word::Left => position = None,
                Word::Gap { is_trimmed, position: at } => {
                    if *is_trimmed && at.is_some() && !self.weather.is_short && self.forgot.is_empty() {
                        return Err("something is missing that the store has".into());
                    }
                    position.clone_from(at);
                    last_of_sender.clear();
                }
                Word::Message { number, offset } => {
                    if !had.insert(*number) {
                        return Err(format!("{number} twice"));
                    }
                    let sender = self.sent.get(number).and_then(|sent| sent.sender);
                    if let Some(sender) = sender.filter(|_| !self.weather.refuses) {
                        let last = last_of_sender.insert(sender, *number).unwrap_or(0);
                        if last > *number {
                            return Err(format!("{number} after {last} of the same sender"));
                        }
                    }
                    if let (1.., Some((epoch, last))) = (*offset, &mut position) {
                        if *offset <= *last {
                            return Err(format!("{number}: offset {offset} after {last}"));
                        }
                        for between in *last + 1..*offset {
                            let place = (channel.to_owned(), epoch.clone(), between);
                            let Some(missing) = places.by_offset.get(&place) else { continue };
                            let is_early = self.sent.get(missing).is_some_and(|sent| sent.step < joined_step);
                            if !had.contains(missing) && !is_early {
                                return Err(format!("{missing} at offset {between} is missing"));
                            }
                        }
                        *last = *offset;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whoever is there has everything that the store has since it was told the last position.
    fn check_present(&self, client: &Client, kept: &BTreeMap<String, (String, Vec<Stored>)>) -> Checked {
        for (number, channel) in &client.sent {
            if !client.answers.contains_key(number) {
                return Err(format!("{number} in {channel} was not answered"));
            }
        }
        for (channel, log) in client.log.iter().filter(|(channel, _)| client.is_in(channel)) {
            let Some((epoch, tail)) = kept.get(channel) else { continue };
            let last = log.iter().rev().find_map(|entry| match &entry.word {
                Word::Joined { epoch, offset } => Some((epoch, *offset)),
                Word::Gap { position: Some((epoch, offset)), .. } => Some((epoch, *offset)),
                _ => None,
            });
            let Some((told, offset)) = last else { continue };
            if told != epoch {
                return Err(format!("{channel} is in {epoch}, and the client believes {told}\n{log:?}"));
            }
            let joined = log.iter().rev().find(|entry| matches!(entry.word, Word::Joined { .. }));
            let joined_step = joined.map_or(0, |entry| entry.step);
            for stored in tail.iter().filter(|stored| stored.place.offset.0 > offset) {
                let number = number_of(stored).unwrap_or_default();
                let is_early = self.sent.get(&number).is_some_and(|sent| sent.step < joined_step);
                if !is_early && !has(log, number) {
                    return Err(format!("{number} in {channel} is missing at the end\n{log:?}"));
                }
            }
        }
        let own = format!("user:{}", client.user);
        if let Some((_, tail)) = kept.get(&own) {
            let log = client.log.get(&own).map(Vec::as_slice).unwrap_or_default();
            for number in tail.iter().filter_map(number_of) {
                let step = self.sent.get(&number).map_or(0, |sent| sent.step);
                if step > client.since && !has(log, number) && !was_told_after(log, step) {
                    return Err(format!("{number} for the user is missing\n{log:?}"));
                }
            }
        }
        Ok(())
    }

    /// What was acknowledged is in the store, unless that forgot; and everybody who was there has it, or was told.
    fn check_taken(&self, kept: &BTreeMap<String, (String, Vec<Stored>)>) -> Checked {
        // When the node dies that knew what the store forgot, nobody is left to tell.
        let counts = |sender: &&Client| self.forgot.is_empty() || !self.nodes[sender.seat.node].is_dead;
        for sender in self.clients.iter().filter(counts) {
            for (number, channel) in &sender.sent {
                if sender.answers.get(number) != Some(&true) {
                    continue;
                }
                let step = self.sent.get(number).map_or(0, |sent| sent.step);
                let was_forgotten = self.forgot.iter().any(|forgot| *forgot >= step);
                let is_kept = kept
                    .get(channel)
                    .is_some_and(|(_, tail)| tail.iter().any(|stored| number_of(stored) == Some(*number)));
                if !is_kept && !was_forgotten && !self.weather.is_short {
                    return Err(format!("{number} was taken and is not in the store"));
                }
                for client in self.clients.iter().filter(|client| client.is_there && client.is_in(channel)) {
                    let log = &client.log[channel];
                    let joined = log.iter().rev().find(|entry| matches!(entry.word, Word::Joined { .. }));
                    let was_there = joined.is_some_and(|entry| entry.step < step);
                    if was_there && !has(log, *number) && !was_told_after(log, step) {
                        return Err(format!("{:?} has not {number} in {channel}\n{log:?}", client.seat));
                    }
                }
            }
        }
        Ok(())
    }
}

fn has(log: &[Entry], number: u64) -> bool {
    log.iter().any(|entry| matches!(entry.word, Word::Message { number: had, .. } if had == number))
}

/// Whether somebody was told of a gap at or after a step.
fn was_told_after(log: &[Entry], step: u64) -> bool {
    log.iter().any(|entry| entry.step >= step && matches!(entry.word, Word::Gap { .. }))
}

fn note_places(places: &mut Places, channel: &str, log: &[Entry]) -> Checked {
    let mut epoch: Option<&str> = None;
    for Entry { word, .. } in log {
        match word {
            Word::Joined { epoch: told, .. } => epoch = Some(told),
            Word::Gap { position, .. } => {
                epoch = position.as_ref().map(|(told, _)| told.as_str());
            }
            Word::Left => epoch = None,
            Word::Message { number, offset: offset @ 1.. } => {
                if let Some(epoch) = epoch {
                    places.note(channel, epoch, *offset, *number)?;
                }
            }
            Word::Message { .. } => {}
        }
    }
    Ok(())
}

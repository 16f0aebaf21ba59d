//! The end of a turn: outputs become pending frames, letters and closed sessions; then writes.

use core_shards::{Now, SessionId};
use protocol::codes::CloseReason;

use super::State;
use crate::engine::application::Application;
use crate::engine::egress::Written;
use crate::engine::mailbox::Letter;
use crate::engine::settings::{ARENA_BYTES_MAX, OUTBOX_LETTERS_MAX};

impl<A: Application> State<A> {
    /// Turns the application's outputs into pending frames, letters and closed sessions.
    pub(in crate::engine) fn settle(&mut self, now: Now) {
        loop {
            self.collect_frames();
            self.post_app_mail();
            self.deal_out_forwarded();
            for (ticket, response) in self.out.take_answers() {
                self.answers.answer(ticket, response);
            }
            self.out.take_latency_marks().for_each(|received_us| self.egress.mark(received_us));
            let closes: Vec<_> = self.out.take_closes().collect();
            if closes.is_empty() {
                break;
            }
            for (id, reason) in closes {
                self.end(id, reason, now);
            }
        }
        if self.out.arena_bytes() > ARENA_BYTES_MAX {
            self.flush(usize::MAX);
        }
    }

    /// Puts the application's letters into the outgoing mail.
    pub(in crate::engine) fn post_app_mail(&mut self) {
        for (to, letter) in self.out.take_mail() {
            self.outbox.post(to, Letter::App(letter));
        }
    }

    pub(super) fn collect_frames(&mut self) {
        let (links, egress) = (&mut self.links, &mut self.egress);
        self.out.take_deliveries(|frame, slots| {
            for &slot in slots {
                if let Some(link) = links.at_mut(slot) {
                    egress.pend(slot, link, frame);
                }
            }
        });
    }

    /// Writes to at most `sockets_max` sockets. Returns whether everything is written.
    pub(in crate::engine) fn flush(&mut self, sockets_max: usize) -> bool {
        let Self { egress, links, out, egress_limits, metrics, .. } = self;
        let mut failed = Vec::new();
        egress.write_round(sockets_max, links, out, egress_limits, metrics, |id, written| {
            failed.push((id, written));
        });
        for (id, written) in failed {
            self.give_up(id, written);
        }
        let written_us = self.shared.now().monotonic_us;
        while let Some(received_us) = self.egress.take_written_mark() {
            self.metrics.latency.observe(written_us.saturating_sub(received_us));
        }
        if !self.egress.is_clean() {
            return false;
        }
        self.egress.reset();
        self.out.clear_frames();
        true
    }

    /// Writes what is pending for one session now, before its transport changes.
    pub(super) fn flush_one(&mut self, id: SessionId) {
        self.collect_frames();
        self.write(id);
    }

    pub(super) fn write(&mut self, id: SessionId) {
        let written = self.egress.write(id, &mut self.links, &self.out, &self.egress_limits, &self.metrics);
        self.give_up(id, written);
    }

    /// Closes a session that could not be written to.
    fn give_up(&mut self, id: SessionId, written: Written) {
        match written {
            Written::Fine => {}
            Written::TooSlow => self.out.close(id, CloseReason::SlowReader),
            Written::Broken => self.out.close(id, CloseReason::TransportLost),
        }
    }

    /// Whether so many letters wait for full mailboxes that this core should read no more for now.
    pub(in crate::engine) fn is_congested(&self) -> bool {
        self.outbox.letter_count() > OUTBOX_LETTERS_MAX
    }

    /// Whether there is room for the results that another core's requests lead to.
    pub(in crate::engine) fn has_room_for_results(&self) -> bool {
        self.outbox.result_count() <= OUTBOX_LETTERS_MAX
    }
}

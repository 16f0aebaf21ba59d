//! How a thread sends its share of the schedule.

use crate::clock::Moment;
use crate::dialect;
use crate::fleet::crew::Crew;
use crate::schedule::Due;

impl Crew {
    /// Sends the messages that are due by `now`.
    pub(super) fn publish_due(&mut self, now: Moment) {
        while let Some(due) = self.share.as_mut().and_then(|share| share.take_due(now)) {
            self.publish(due);
        }
        if self.share.as_ref().is_some_and(|share| share.peek().is_none()) {
            self.share = None;
            self.totals.published += 1;
        }
    }

    /// Sends one message from its room's sender.
    fn publish(&mut self, due: Due) {
        let sender = self.plan.seating.sender(due.room);
        let slot = self.berths.partition_point(|berth| berth.seat < sender);
        let line = self
            .berths
            .get_mut(slot)
            .filter(|berth| berth.seat == sender)
            .and_then(|berth| berth.line.as_mut());
        let Some(line) = line.filter(|line| line.takes_messages()) else {
            self.ledger.unsent += 1;
            return;
        };
        let (sequence, plan) = (self.rooms.sent(due.room), &self.plan);
        self.speech.text(|out| dialect::push_message(out, &plan.channels, due, sequence, plan.form));
        let said = line.say(&mut self.speech);
        self.ledger.lateness.record(Moment::now().nanos_since(due.at));
        self.rooms.count_sent(due.room);
        self.totals.sent += 1;
        self.totals.expected += u64::from(self.rooms.members(due.room));
        if let Err(reason) = said {
            self.end_line(slot, &reason);
        }
    }
}

//! Requests that the application answers, at once or later.

use std::rc::Rc;

use core_shards::Now;
use core_shards::outputs::Ticket;
use protocol::http::Request;
use protocol::http::response::Response;

use super::{Deadline, State};
use crate::engine::answers::{Waiter, busy};
use crate::engine::application::{Application, Reply};
use crate::engine::metrics::Rejection;

/// What came of a request.
#[derive(Debug)]
pub(in crate::engine) enum Asked {
    /// It is answered.
    Answered(Response),
    /// It waits.
    Waiting(Ticket, Rc<Waiter>),
}

impl<A: Application> State<A> {
    /// Hands a request to the application.
    pub(in crate::engine) fn ask(&mut self, request: &Request<'_>, body: &[u8], now: Now) -> Asked {
        let ticket = self.answers.next_ticket();
        match self.app.handle_request(request, body, ticket, now, &mut self.out) {
            Reply::Now(response) => return Asked::Answered(response),
            Reply::Later => {}
        }
        let Some(waiter) = self.answers.wait(ticket, now.monotonic_ms()) else {
            self.metrics.reject(Rejection::Busy);
            self.app.handle_abandoned(ticket, now, &mut self.out);
            return Asked::Answered(busy("too many requests wait for their answers"));
        };
        self.watch_answers();
        Asked::Waiting(ticket, waiter)
    }

    /// The client that waited for an answer has gone.
    pub(in crate::engine) fn abandon_answer(&mut self, ticket: Ticket, now: Now) {
        if self.answers.give_up(ticket) {
            self.app.handle_abandoned(ticket, now, &mut self.out);
        }
    }

    /// Sends those away that have waited too long.
    pub(super) fn abandon_overdue(&mut self, now: Now) {
        while let Some(ticket) = self.answers.expire(now.monotonic_ms()) {
            self.metrics.reject(Rejection::Unanswered);
            self.app.handle_abandoned(ticket, now, &mut self.out);
        }
        self.answers.looked();
        self.watch_answers();
    }

    /// Sends everybody away who waits for an answer, for a node that goes down.
    pub(super) fn abandon_all(&mut self, now: Now) {
        for ticket in self.answers.close() {
            self.app.handle_abandoned(ticket, now, &mut self.out);
        }
    }

    fn watch_answers(&mut self) {
        if let Some(overdue_ms) = self.answers.watch() {
            self.wheel.arm(overdue_ms, Deadline::Answer);
        }
    }
}

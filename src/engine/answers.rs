//! Requests that wait for their answer: polls, and those whose answer the application gives later. The latter have
//! tickets, a bound on their number and a bound on their time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use core_shards::outputs::Ticket;
use protocol::http::response::Response;

use super::settings::{ANSWER_TIMEOUT_MS, ANSWERS_WAITING_MAX};

/// A request that waits.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    answer: RefCell<Option<Response>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    /// Gives the answer. The first one counts.
    pub(super) fn answer(&self, response: Response) {
        self.answer.borrow_mut().get_or_insert(response);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes the answer, if it is there.
    pub(super) fn take(&self) -> Option<Response> {
        self.answer.borrow_mut().take()
    }

    /// Waits for the answer. May be dropped at any time; the answer stays.
    pub(super) async fn answered(&self) -> Response {
        poll_fn(|context| match self.answer.borrow_mut().take() {
            Some(response) => Poll::Ready(response),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// The requests of one core that the application answers later, oldest first: tickets rise, and all may wait
/// equally long.
#[derive(Debug, Default)]
pub(super) struct Answers {
    last_ticket: u64,
    waiting: BTreeMap<Ticket, Waiting>,
    /// A deadline for the oldest is armed.
    is_watched: bool,
    /// The node is going down: nobody may wait.
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    waiter: Rc<Waiter>,
    overdue_ms: u64,
}

impl Answers {
    /// The next request's ticket.
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// Lets a request wait, unless too many do or the node is going down.
    pub(super) fn wait(&mut self, ticket: Ticket, now_ms: u64) -> Option<Rc<Waiter>> {
        if self.is_closed || self.waiting.len() >= ANSWERS_WAITING_MAX {
            return None;
        }
        let waiter = Rc::new(Waiter::default());
        let waiting = Waiting { waiter: waiter.clone(), overdue_ms: now_ms + ANSWER_TIMEOUT_MS };
        self.waiting.insert(ticket, waiting);
        Some(waiter)
    }

    /// Answers a request, if it still waits.
    pub(super) fn answer(&mut self, ticket: Ticket, response: Response) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            waiting.waiter.answer(response);
        }
    }

    /// The client has gone. `true` if its request was still waiting.
    pub(super) fn give_up(&mut self, ticket: Ticket) -> bool {
        self.waiting.remove(&ticket).is_some()
    }

    /// Tells a request that has waited too long to come back, and returns its ticket.
    pub(super) fn expire(&mut self, now_ms: u64) -> Option<Ticket> {
        let oldest = self.waiting.first_entry().filter(|oldest| oldest.get().overdue_ms <= now_ms)?;
        let (ticket, waiting) = oldest.remove_entry();
        waiting.waiter.answer(busy("the answer takes too long"));
        Some(ticket)
    }

    /// When to look for requests that have waited too long, if nobody has asked yet. Whoever is told looks then, and
    /// asks again after [`looked`](Self::looked).
    pub(super) fn watch(&mut self) -> Option<u64> {
        let (_, oldest) = self.waiting.first_key_value().filter(|_| !self.is_watched)?;
        self.is_watched = true;
        Some(oldest.overdue_ms)
    }

    /// The look that [`watch`](Self::watch) asked for has taken place.
    pub(super) fn looked(&mut self) {
        self.is_watched = false;
    }

    /// Sends everybody away, for a node that goes down, and returns whom.
    pub(super) fn close(&mut self) -> Vec<Ticket> {
        self.is_closed = true;
        let waiting = std::mem::take(&mut self.waiting);
        let send_away = |(ticket, waiting): (Ticket, Waiting)| {
            waiting.waiter.answer(busy("the node is going down"));
            ticket
        };
        waiting.into_iter().map(send_away).collect()
    }
}

/// The answer to a request for which there is no room, or no time, at the moment.
pub(super) fn busy(message: &str) -> Response {
    let body =
        format!("{{\"success\":false,\"error\":{{\"code\":\"SERVER_BUSY\",\"message\":\"{message}\"}}}}");
    Response::json(503, body).with("Retry-After", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_waits_too_long_is_told_so_in_its_turn() {
        let mut answers = Answers::default();
        let [first, second, third] = std::array::from_fn(|_| answers.next_ticket());
        for (ticket, now_ms) in [(first, 0), (second, 10), (third, 20)] {
            assert!(answers.wait(ticket, now_ms).is_some());
        }
        assert_eq!(answers.watch(), Some(ANSWER_TIMEOUT_MS));
        assert_eq!(answers.watch(), None);
        answers.answer(second, Response::empty(204));
        assert_eq!(answers.expire(ANSWER_TIMEOUT_MS - 1), None);
        assert_eq!(answers.expire(ANSWER_TIMEOUT_MS), Some(first));
        assert_eq!(answers.expire(ANSWER_TIMEOUT_MS), None);
        answers.looked();
        assert_eq!(answers.watch(), Some(ANSWER_TIMEOUT_MS + 20));
        assert!(answers.give_up(third));
        assert!(!answers.give_up(third));
    }

    #[test]
    fn no_more_wait_than_may_and_none_while_the_node_goes_down() {
        let mut answers = Answers::default();
        let tickets: Vec<_> = (0..ANSWERS_WAITING_MAX).map(|_| answers.next_ticket()).collect();
        assert!(tickets.iter().all(|ticket| answers.wait(*ticket, 0).is_some()));
        let further = answers.next_ticket();
        assert!(answers.wait(further, 0).is_none());
        assert_eq!(answers.close(), tickets);
        assert!(answers.wait(further, 0).is_none());
    }
}

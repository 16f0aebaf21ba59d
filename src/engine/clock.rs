//! The background tasks of a core: the clock that fires deadlines, the flush that writes, the
//! postman that takes in mail.

use std::rc::Rc;
use std::time::Duration;

use core_shards::CoreId;

use super::application::Application;
use super::budget::HalfReceived;
use super::core::Core;
use super::mailbox::{Arrival, ArrivalTransport, Letter, Visit};
use super::meter::Meter;
use super::settings::{FLUSH_SOCKETS_MAX, LETTERS_PER_TURN_MAX};
use super::state::Deadline;
use super::{forwarding, http, requests, upgrade, websocket};
use crate::rt::{self, Either, Socket, Yield};

/// Fires deadlines. Woken by the one timer of the core, or when an earlier deadline is set; ends with the core, whose
/// last deadlines cut those off that do not go.
pub(super) async fn run_clock<A: Application>(core: Rc<Core<A>>) {
    let mut meter = Meter::new(&core);
    meter.measure(&core);
    loop {
        let now_ms = core.shared.now().monotonic_ms();
        let next_ms = core.turn(|state, _| {
            let next = [state.wheel.next_deadline_ms(), state.app.next_deadline_ms()];
            next.into_iter().flatten().min()
        });
        core.sleeping_until_ms.set(next_ms.unwrap_or(u64::MAX));
        let wait =
            Duration::from_millis(next_ms.unwrap_or(u64::MAX).saturating_sub(now_ms).min(LONGEST_SLEEP_MS));
        let wakes_us = core.shared.now().monotonic_us + wait.as_micros() as u64;
        let woken = rt::race(rt::sleep(wait), core.earlier_deadline.notified()).await;
        if matches!(woken, Either::Left(())) {
            core.metrics.lag.observe(core.shared.now().monotonic_us.saturating_sub(wakes_us));
        }
        if tick(&core) {
            meter.measure(&core);
        }
    }
}

/// The clock wakes this often though nothing is due: a core that stands still for longer shows it in its lag.
const LONGEST_SLEEP_MS: u64 = 200;

/// Handles what is due. Returns whether the core is to be measured.
fn tick<A: Application>(core: &Rc<Core<A>>) -> bool {
    core.turn(|state, now| {
        let (mut due, mut is_measured) = (Vec::new(), false);
        state.wheel.expire(now.monotonic_ms(), |_, deadline| due.push(deadline));
        for deadline in due {
            match deadline {
                Deadline::Watch(place) if core.check_watch(place, now) => {
                    state.wheel.arm(Core::<A>::next_watch_ms(now), deadline);
                }
                Deadline::Measure => is_measured = true,
                _ => state.deadline(deadline, now),
            }
        }
        if state.app.next_deadline_ms().is_some_and(|next| next <= now.monotonic_ms()) {
            state.app.handle_time(now, &mut state.out);
        }
        is_measured
    })
}

/// Writes and mails what the turns of this round left behind: it was woken by the first of them, and
/// runs after all that were ready. Ends with the core.
pub(super) async fn run_flush<A: Application>(core: Rc<Core<A>>, give_way: Yield) {
    loop {
        core.flush_wanted.notified().await;
        loop {
            let is_done = core.turn(|state, _| {
                state.outbox.deliver();
                if state.outbox.letter_count() > 0 {
                    core.metrics.delayed_letters.increment();
                }
                let is_written = state.flush(FLUSH_SOCKETS_MAX);
                is_written && state.outbox.letter_count() == 0
            });
            if !core.is_congested() {
                core.room.wake_all();
            }
            if is_done {
                break;
            }
            give_way.pass().await;
        }
    }
}

/// Gives the driver its turn when tasks have used up their share, and then the tasks another one. Ends with the core.
pub(super) async fn run_pauses<A: Application>(core: Rc<Core<A>>, give_way: Yield) {
    loop {
        core.pause_wanted.notified().await;
        give_way.pass().await;
        core.renew_share();
    }
}

/// Takes letters out of the mailbox: results always, requests while what they lead to has room.
/// Woken by the doorbell; ends with the core.
pub(super) async fn run_postman<A: Application>(core: Rc<Core<A>>, give_way: Yield) {
    loop {
        core.shared.office[core.id.index()].doorbell.answered().await;
        loop {
            let guests = take_letters(&core);
            for (from, letter) in guests {
                receive(&core, from, letter);
            }
            if core.mailbox.results.is_empty() && core.mailbox.requests.is_empty() {
                break;
            }
            give_way.pass().await;
        }
    }
}

/// Handles a batch of letters in one turn and returns those that need a task.
fn take_letters<A: Application>(core: &Rc<Core<A>>) -> Vec<(CoreId, Letter<A>)> {
    core.turn(|state, now| {
        let mut guests = Vec::new();
        for _ in 0..LETTERS_PER_TURN_MAX {
            let next = core.mailbox.results.try_recv().or_else(|error| {
                if state.has_room_for_results() { core.mailbox.requests.try_recv() } else { Err(error) }
            });
            match next {
                Ok((from, Letter::App(letter))) => state.app.handle_mail(from, letter, now, &mut state.out),
                Ok((_, Letter::Forget(sid))) => state.forget(&sid),
                Ok((_, Letter::UpgradeAbandoned(sid, surface))) => state.abandon_upgrade(&sid, surface, now),
                Ok((_, Letter::Forwarded(forwarding, _))) if forwarding.is_answer() => {
                    state.hear_forwarded(*forwarding, now);
                }
                Ok((from, letter)) => guests.push((from, letter)),
                Err(_) => break,
            }
            state.post_app_mail();
        }
        guests
    })
}

/// Takes in a session or a connection that another core sent.
fn receive<A: Application>(core: &Rc<Core<A>>, _from: CoreId, letter: Letter<A>) {
    match letter {
        Letter::Visit(visit) => {
            let Visit { fd, bytes, hops } = *visit;
            if let Ok(socket) = Socket::new(fd) {
                http::serve(core, socket, bytes, hops);
            }
        }
        Letter::Forwarded(forwarding, hops) => forwarding::serve(core, *forwarding, hops),
        Letter::Posted(posted) => requests::take_posted(core, &posted),
        Letter::Prober(prober) => upgrade::resume(core, *prober),
        Letter::Arrival(arrival) => {
            // In a task of its own: what was read from the session is decoded there.
            let guest = core.clone();
            core.start(async move { take_in(&guest, *arrival) });
        }
        // Handled in the turn that took them out.
        Letter::App(_) | Letter::Forget(_) | Letter::UpgradeAbandoned(..) => {}
    }
}

/// Takes in a session that moved here.
fn take_in<A: Application>(core: &Rc<Core<A>>, arrival: Arrival<A::Passport>) {
    let Arrival { surface, passport, transport } = arrival;
    match transport {
        ArrivalTransport::WebSocket { fd, rest } => {
            // A descriptor that cannot be registered is closed, and its client comes back.
            let Ok(socket) = Socket::new(fd) else { return core.shared.give_place_back() };
            let socket = Rc::new(socket);
            let id = core.turn(|state, now| state.arrive_websocket(socket.clone(), surface, passport, now));
            websocket::serve(core, socket, id, surface, rest, HalfReceived::default());
        }
        ArrivalTransport::Polling { sid, is_upgrading, backlog, rest } => {
            let id = core
                .turn(|state, now| state.arrive_polling(sid, is_upgrading, &backlog, surface, passport, now));
            if !rest.is_empty() {
                super::requests::take_records(core, id, surface, &rest);
            }
        }
    }
}

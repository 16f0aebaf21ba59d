//! One run: a seed, the node that it makes, and everything that happens until everybody is gone again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use core_shards::{Identity, MailClass, Now, UserId};
use protocol::codes::ErrorCode;

use crate::client::{Device, Intent, Line, Packet, Seat};
use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::heard::hear;
use crate::model::publications::RETRY_RECOGNISED_MS;
use crate::model::{Checked, Model};
use crate::node::{Input, Node};
use crate::schedule::{Schedule, Step, USERS, display_name};
use crate::slots::Slots;
use crate::trace::Trace;

/// How often a run goes from busy to quiet.
const PHASES_MAX: usize = 5;
/// Steps between two quiet moments.
const PHASE_STEPS_MAX: usize = 300;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The promise that was broken.
    pub(crate) violation: Option<String>,
    /// What the planted fault hit, once it struck.
    pub(crate) struck: Option<String>,
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
}

/// Something that a core could take next.
#[derive(Clone, Copy, Debug)]
enum Source {
    Letter { from: usize, class: MailClass },
    Device(usize),
}

struct World {
    schedule: Schedule,
    node: Node,
    model: Model,
    devices: Vec<Device>,
    slots: Slots,
    now: Now,
    trace: Trace,
    coverage: Coverage,
}

/// Runs a seed, with a fault planted or without.
pub(crate) fn run(seed: u64, fault: Option<Fault>, is_traced: bool) -> Outcome {
    let schedule = Schedule::new(seed, fault.is_some());
    let now = Now { monotonic_us: 5_000_000, unix_ms: 1_772_359_201_000 };
    let node = Node::new(schedule.core_count, schedule.letters_max, &schedule.limits, seed, fault, now);
    let model = Model::new(schedule.limits.clone(), now);
    let devices =
        (0..schedule.device_count).map(|number| Device::new(number % schedule.user_count)).collect();
    let mut world = World {
        schedule,
        node,
        model,
        devices,
        slots: Slots::default(),
        now,
        trace: Trace::new(is_traced),
        coverage: Coverage::default(),
    };
    world.trace.note(|| format!("seed {seed}: {:?}", world.schedule));
    let ending = catch_unwind(AssertUnwindSafe(|| world.live()));
    let violation = match ending {
        Ok(checked) => checked.err(),
        Err(panic) => Some(format!("the node panicked: {}", panic_text(&*panic))),
    };
    world.count_coverage();
    Outcome { violation, struck: world.node.faults.struck, trace: world.trace, coverage: world.coverage }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

impl World {
    fn live(&mut self) -> Checked {
        for _ in 0..self.schedule.random.usize(1..=PHASES_MAX) {
            for _ in 0..self.schedule.random.usize(20..PHASE_STEPS_MAX) {
                self.step()?;
            }
            self.become_quiet()?;
            self.ask_when_quiet()?;
            self.sleep()?;
        }
        for device in 0..self.devices.len() {
            self.hang_up(device);
        }
        self.become_quiet()
    }

    fn step(&mut self) -> Checked {
        match self.schedule.step() {
            Step::Act => self.act(),
            Step::Turn => {
                let core = self.schedule.choose(self.node.core_count());
                self.turn(core)?;
            }
            Step::PassTime => self.pass_time(),
            Step::LookAtClock => {
                let core = self.schedule.choose(self.node.core_count());
                self.look_at_clock(core)?;
            }
        }
        Ok(())
    }

    fn act(&mut self) {
        let index = self.schedule.choose(self.devices.len());
        let device = &mut self.devices[index];
        let line = device.line;
        match line {
            Line::Away if self.schedule.chance(1, 2) => {
                let core = self.node.placement.home_of_user(USERS[device.user]).index();
                device.line = Line::Arriving { core };
            }
            Line::Connected(_) if self.schedule.act(device) => self.hang_up(index),
            _ => {}
        }
    }

    /// The device goes away. What it wrote last is read first, or never.
    fn hang_up(&mut self, index: usize) {
        let device = &mut self.devices[index];
        match device.line {
            Line::Connected(seat) => {
                device.line = Line::Leaving(seat);
                let read = self.schedule.random.usize(0..=device.pipe.len());
                device.pipe.truncate(read);
            }
            Line::Arriving { .. } => device.line = Line::Away,
            _ => {}
        }
        self.trace.note(|| format!("device {index} hangs up"));
    }

    fn pass_time(&mut self) {
        let (passed_us, jump_ms) = self.schedule.time_passes();
        self.advance(passed_us, jump_ms);
        self.coverage.wall_clock_jumps += u64::from(jump_ms.abs() > 1_000);
    }

    fn advance(&mut self, passed_us: u64, jump_ms: i64) {
        self.now.monotonic_us += passed_us;
        self.now.unix_ms = (self.now.unix_ms + passed_us / 1000).saturating_add_signed(jump_ms);
        self.model.set_time(self.now);
        self.trace.note(|| format!("{passed_us} us pass, the wall clock jumps {jump_ms} ms"));
    }

    fn look_at_clock(&mut self, core: usize) -> Checked {
        self.model.look_at_clock(core);
        self.give(core, Input::Time)
    }

    /// Lets a core take some of what waits for it; true if there was anything.
    fn turn(&mut self, core: usize) -> Result<bool, String> {
        let mut has_worked = false;
        for _ in 0..self.schedule.random.u32(1..8) {
            let sources = self.sources(core);
            if sources.is_empty() {
                break;
            }
            has_worked = true;
            match sources[self.schedule.choose(sources.len())] {
                Source::Letter { from, class } => self.give(core, Input::Letter { from, class })?,
                Source::Device(device) => self.serve(device)?,
            }
        }
        Ok(has_worked)
    }

    fn sources(&mut self, core: usize) -> Vec<Source> {
        let mut sources = Vec::new();
        for class in [MailClass::Result, MailClass::Request] {
            if self.node.takes_letters(core, class) {
                let is_waiting = |from: &usize| self.node.lanes.is_waiting(*from, core, class);
                let waiting = (0..self.node.core_count()).filter(is_waiting);
                sources.extend(waiting.map(|from| Source::Letter { from, class }));
            }
        }
        if self.node.takes_packets(core) {
            let is_ready = |device: &Device| {
                device.core() == Some(core)
                    && !(matches!(device.line, Line::Connected(_)) && device.pipe.is_empty())
            };
            let ready = self.devices.iter().enumerate().filter(|(_, device)| is_ready(device));
            let ready: Vec<_> = ready.map(|(index, _)| Source::Device(index)).collect();
            if self.schedule.are_sockets_first && !ready.is_empty() {
                return ready;
            }
            sources.extend(ready);
        }
        sources
    }

    /// A device's core takes the next thing from its socket.
    fn serve(&mut self, index: usize) -> Checked {
        let device = &mut self.devices[index];
        let user = device.user;
        match device.line {
            Line::Away => Ok(()),
            Line::Arriving { core } => {
                let seat = self.slots.take(core);
                self.coverage.slots_reused += u64::from(seat.generation > 0);
                self.devices[index].line = Line::Connected(seat);
                self.model.connect(seat, USERS[user]);
                self.give(core, Input::Connect(seat, identity(USERS[user])))
            }
            Line::Connected(seat) | Line::Leaving(seat) => match device.pipe.pop_front() {
                Some(packet) => self.read(seat, user, &packet),
                None => {
                    device.line = Line::Away;
                    self.slots.release(seat);
                    self.model.disconnect(seat);
                    self.give(seat.core, Input::Disconnect(seat))
                }
            },
        }
    }

    fn read(&mut self, seat: Seat, user: usize, packet: &Packet) -> Checked {
        self.model.packet(seat, packet);
        let Intent::Refresh { is_same_user } = packet.intent else {
            return self.give(seat.core, Input::Packet(seat, packet));
        };
        let verdict = match is_same_user {
            true => Ok(identity(USERS[user])),
            false if self.schedule.random.bool() => Ok(identity("somebody else")),
            false => Err((ErrorCode::AuthenticationFailed, "no token of ours")),
        };
        self.give(seat.core, Input::Refresh(seat, verdict, packet.ack))
    }

    /// One input for one core, and everything that its sessions hear of it.
    fn give(&mut self, core: usize, input: Input<'_>) -> Checked {
        self.trace.input(core, &input);
        let live_slots = self.slots.taken(core);
        let was_struck = self.node.faults.struck.is_some();
        let effects = self.node.handle(core, input, &live_slots, self.now)?;
        if let Some(struck) = self.node.faults.struck.as_ref().filter(|_| !was_struck) {
            self.trace.note(|| format!("the fault strikes: {struck}"));
        }
        for delivered in effects {
            self.trace.frames(core, &delivered);
            let packets = hear(&delivered.frames)?;
            for slot in delivered.slots {
                let Some(seat) = self.slots.seat(core, slot) else {
                    return Err(format!("slot {slot} of core {core} is free and is sent {packets:?}"));
                };
                for heard in &packets {
                    self.model.hear(seat, heard)?;
                }
            }
        }
        self.model.input_is_over()
    }

    /// Lets everything run dry, in random order, and checks what must hold then.
    fn become_quiet(&mut self) -> Checked {
        loop {
            let first = self.schedule.choose(self.node.core_count());
            let mut has_worked = false;
            for offset in 0..self.node.core_count() {
                has_worked |= self.turn((first + offset) % self.node.core_count())?;
            }
            if has_worked {
                continue;
            }
            let waits = |device: &Device| !matches!(device.line, Line::Connected(_) | Line::Away);
            if !self.node.lanes.is_empty() || self.devices.iter().any(waits) {
                return Err("the cores wait for each other".to_owned());
            }
            self.trace.note(|| "quiet".to_owned());
            return self.model.check_quiet(&self.node);
        }
    }

    /// A member of each channel joins again and must be told exactly what the reference knows.
    fn ask_when_quiet(&mut self) -> Checked {
        self.model.begin_quiet();
        for (seat, channel) in self.model.one_member_each() {
            let asking = self.devices.iter_mut().find(|device| device.line == Line::Connected(seat));
            if let Some(device) = asking {
                self.schedule.join_channel(device, &channel);
            }
        }
        self.become_quiet()?;
        self.model.end_quiet();
        Ok(())
    }

    /// Nothing happens for up to twice the time in which a retry is recognised.
    fn sleep(&mut self) -> Checked {
        if self.schedule.chance(2, 3) {
            return Ok(());
        }
        let slept_ms = self.schedule.random.u64(0..2 * RETRY_RECOGNISED_MS);
        self.advance(slept_ms * 1000, 0);
        for core in 0..self.node.core_count() {
            self.look_at_clock(core)?;
        }
        Ok(())
    }

    fn count_coverage(&mut self) {
        let counts = &self.model.counts;
        self.coverage.held_letters = self.node.lanes.held_count;
        self.coverage.voided_joins = counts.voided_joins;
        self.coverage.retries = counts.retries;
        self.coverage.busy_retries = counts.busy;
        self.coverage.deliveries = counts.deliveries;
        self.coverage.refused_joins = counts.refusals[ErrorCode::MaxRoomsExceeded as usize];
        self.coverage.stale_letters = self.node.sum(|metrics| &metrics.stale_letters);
    }
}

fn identity(user: &str) -> Identity {
    Identity {
        user: UserId::from(user),
        session: None,
        name: display_name(user).map(Arc::from),
        roles: Box::new([]),
        expires_at_unix_ms: None,
    }
}

//! One run: a seed, the node that it makes, and everything that happens until everybody is gone again.

mod inputs;
mod rest;

use std::panic::{AssertUnwindSafe, catch_unwind};

use core_shards::{MailClass, Now, Question};

use crate::client::{Device, Line};
use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::model::{Checked, Model};
use crate::node::{Input, Node};
use crate::schedule::{Schedule, Step};
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
    Letter {
        from: usize,
        class: MailClass,
    },
    Device(usize),
    /// What is left of a connection that its device gave up.
    Stump {
        device: usize,
        stump: usize,
    },
}

struct World {
    schedule: Schedule,
    node: Node,
    model: Model,
    devices: Vec<Device>,
    slots: Slots,
    /// What somebody outside was asked and has not answered.
    questions: Vec<Question>,
    now: Now,
    trace: Trace,
    coverage: Coverage,
}

/// Runs a seed, with a fault planted or without.
pub(crate) fn run(seed: u64, fault: Option<Fault>, is_traced: bool) -> Outcome {
    let mut schedule = Schedule::new(seed, fault.is_some());
    let now = Now { monotonic_us: 5_000_000, unix_ms: 1_772_359_201_000 };
    let node = Node::new(schedule.core_count, schedule.letters_max, &schedule.limits, seed, fault, now);
    let model = Model::new(schedule.limits.clone(), node.placement, now);
    let users = (0..schedule.device_count).map(|number| number % schedule.user_count);
    let devices = users.collect::<Vec<_>>().into_iter().map(|user| schedule.device(user)).collect();
    let mut world = World {
        schedule,
        node,
        model,
        devices,
        slots: Slots::default(),
        questions: Vec::new(),
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
        for phase in 0..self.schedule.random.usize(1..=PHASES_MAX) {
            self.run_dry()?;
            self.schedule.is_calm = phase > 0 && self.schedule.chance(1, 2);
            (self.node.faults.is_calm, self.model.is_calm) = (self.schedule.is_calm, self.schedule.is_calm);
            for _ in 0..self.schedule.random.usize(20..PHASE_STEPS_MAX) {
                self.step()?;
            }
            self.become_quiet()?;
            (self.node.faults.is_calm, self.model.is_calm) = (false, false);
            self.ask_when_quiet()?;
            self.sleep()?;
        }
        for device in 0..self.devices.len() {
            self.hang_up(device);
        }
        self.become_quiet()?;
        self.forget_everything()
    }

    fn step(&mut self) -> Checked {
        match self.schedule.step() {
            Step::Act => self.act(),
            Step::Receive => self.receive(),
            Step::Turn => {
                let core = self.schedule.choose(self.node.core_count());
                self.turn(core)?;
            }
            Step::PassTime => self.pass_time(),
            Step::LookAtClock => {
                let core = self.schedule.choose(self.node.core_count());
                self.look_at_clock(core)?;
            }
            Step::Decide => self.decide()?,
            Step::Revoke => self.revoke()?,
        }
        Ok(())
    }

    fn act(&mut self) {
        let index = self.schedule.choose(self.devices.len());
        let device = &mut self.devices[index];
        let is_connected = matches!(device.line, Line::Connected(_));
        if is_connected && self.schedule.act(device) {
            self.hang_up(index);
        } else if device.line == Line::Away && self.schedule.random.bool() {
            device.line = Line::Arriving { core: self.node.home_of(device.user) };
        }
    }

    /// Some of what is on its way to a device arrives.
    fn receive(&mut self) {
        let index = self.schedule.choose(self.devices.len());
        let device = &mut self.devices[index];
        if let Line::Connected(seat) = device.line {
            let count = self.schedule.random.usize(0..=self.model.on_their_way(seat));
            self.model.receive(seat, count, &mut device.memory);
            if self.schedule.chance(1, 6) {
                device.memory.remember();
            }
        }
    }

    /// The connection of a device breaks: of what is on its way to the device some arrives, of what the device wrote
    /// last some is read.
    fn hang_up(&mut self, index: usize) {
        let device = &mut self.devices[index];
        match device.line {
            Line::Connected(seat) => {
                let on_their_way = self.model.on_their_way(seat);
                let count = match self.schedule.random.bool() {
                    true => on_their_way,
                    false => self.schedule.random.usize(0..=on_their_way),
                };
                self.coverage.frames_lost += (on_their_way - count) as u64;
                self.model.receive(seat, count, &mut device.memory);
                self.model.cut(seat);
                let read_count = self.schedule.random.usize(0..=device.pipe.len());
                device.hang_up(seat, read_count);
            }
            Line::Arriving { .. } => device.line = Line::Away,
            Line::Away => {}
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
                Source::Letter { from, class } => self.open(core, from, class)?,
                Source::Device(device) => self.serve(device)?,
                Source::Stump { device, stump } => self.serve_stump(device, stump)?,
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
            let mut ready = Vec::new();
            for (index, device) in self.devices.iter().enumerate() {
                let stumps = device.stumps.iter().enumerate().filter(|(_, stump)| stump.seat.core == core);
                ready.extend(stumps.map(|(stump, _)| Source::Stump { device: index, stump }));
                ready.extend(device.is_ready(core).then_some(Source::Device(index)));
            }
            if self.schedule.are_sockets_first && !ready.is_empty() {
                return ready;
            }
            sources.extend(ready);
        }
        sources
    }
}

//! An application's way into its own core, for tasks that it starts itself.

use std::future::Future;
use std::rc::{Rc, Weak};

use core_shards::{CoreId, Now, Outputs};

use super::application::Application;
use super::core::Core;
use crate::rt::{self, Gate, Latch, Starter};

/// Runs turns and starts tasks on one core. Does not keep the core alive; copies are for the same core.
pub struct CoreHandle<A: Application> {
    core: Weak<Core<A>>,
    id: CoreId,
    ended: Rc<Latch>,
}

impl<A: Application> CoreHandle<A> {
    pub(super) fn new(core: &Rc<Core<A>>) -> Self {
        Self { core: Rc::downgrade(core), id: core.id, ended: core.ended.clone() }
    }

    /// The core's number.
    pub fn id(&self) -> CoreId {
        self.id
    }

    /// Runs a turn: what the application wants done meanwhile is done at its end. `None` if the core has ended.
    ///
    /// # Panics
    /// When called from inside a turn.
    pub fn turn<R>(&self, work: impl FnOnce(&mut A, Now, &mut Outputs<A::Mail>) -> R) -> Option<R> {
        let core = self.core.upgrade()?;
        Some(core.turn(|state, now| work(&mut state.app, now, &mut state.out)))
    }

    /// Starts a task that the core cannot do without: a panic in it ends the process. It is dropped when the core ends,
    /// after the last of its connections.
    pub fn start(&self, task: impl Future<Output = ()> + 'static) {
        start(self.id, self.ended.clone(), task);
    }

    /// What a task has to wait for before it takes in more from outside: while so many letters wait for other cores that
    /// more would only pile up. Not to be asked from inside a turn.
    pub fn gate(&self) -> Gate {
        let core = self.core.clone();
        Rc::new(move || {
            let core = core.upgrade().filter(|core| core.is_congested())?;
            Some(Box::pin(async move { core.room.next().await }))
        })
    }

    /// [`start`](Self::start) for those who know no application.
    pub fn starter(&self) -> Starter {
        let (id, ended) = (self.id, self.ended.clone());
        Rc::new(move |task| start(id, ended.clone(), task))
    }
}

impl<A: Application> Clone for CoreHandle<A> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), id: self.id, ended: self.ended.clone() }
    }
}

fn start(id: CoreId, ended: Rc<Latch>, task: impl Future<Output = ()> + 'static) {
    let task = async move {
        rt::race(task, ended.wait()).await;
    };
    rt::spawn(task, super::core::Indispensable(id));
}

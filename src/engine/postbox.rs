//! The way to a core for threads that are none: what they have found out becomes the application's mail.

use std::fmt;
use std::time::Duration;

use core_shards::CoreId;

use super::application::Application;
use super::mailbox::{Letter, PostOffice};

/// How long a letter is held out to a mailbox that is full.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes letters to the cores of an engine, from any thread but theirs, which it would hold up.
///
/// Letters of one thread and class to one core arrive in the order in which they were posted.
pub struct Postbox<A: Application> {
    office: PostOffice<A>,
}

impl<A: Application> Postbox<A> {
    pub(super) fn new(office: PostOffice<A>) -> Self {
        Self { office }
    }

    /// Posts a letter, which its receiver handles as mail from itself. Waits while its mailbox is full.
    ///
    /// # Errors
    /// The letter, if there was no room for it within five seconds or the core has ended.
    ///
    /// # Panics
    /// When the engine has no such core.
    pub fn post(&self, to: CoreId, letter: A::Mail) -> Result<(), A::Mail> {
        match self.office[to.index()].put(to, Letter::App(letter), PATIENCE) {
            Ok(()) => Ok(()),
            Err(Letter::App(letter)) => Err(letter),
            Err(_) => unreachable!("what comes back is what was put in"),
        }
    }
}

impl<A: Application> Clone for Postbox<A> {
    fn clone(&self) -> Self {
        Self { office: self.office.clone() }
    }
}

impl<A: Application> fmt::Debug for Postbox<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Postbox({} cores)", self.office.len())
    }
}

//! The links of one client: one to each server that it speaks to.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::address::Host;
use super::link::Link;

/// How long a link stays that nobody wants: a slot that is on its way is asked for here and there.
const LINGER: Duration = Duration::from_secs(10);

/// All links of a client; a handful.
#[derive(Default)]
pub(super) struct Links {
    legs: Vec<Leg>,
}

struct Leg {
    link: Rc<Link>,
    /// No attempt has ended: it may be up in a moment.
    is_fresh: bool,
    wanted_at: Instant,
}

/// How things are with the link to a host.
#[derive(Clone)]
pub(super) enum Standing {
    /// There is none.
    Missing,
    /// It may be up in a moment.
    Fresh,
    /// It carries commands.
    Up(Rc<Link>),
    /// It was lost, or could not be made; it is tried again.
    Down,
}

impl Links {
    /// A link that was just made.
    pub(super) fn add(&mut self, link: Rc<Link>) {
        self.legs.push(Leg { link, is_fresh: true, wanted_at: Instant::now() });
    }

    /// An attempt to connect has ended, well or not.
    pub(super) fn handle_attempt(&mut self, link: &Rc<Link>) {
        let own = self.legs.iter_mut().find(|leg| Rc::ptr_eq(&leg.link, link));
        own.into_iter().for_each(|leg| leg.is_fresh = false);
    }

    /// Whether a link is one of these; otherwise it was let go.
    pub(super) fn has(&self, link: &Rc<Link>) -> bool {
        self.legs.iter().any(|leg| Rc::ptr_eq(&leg.link, link))
    }

    /// How things are with the link to a host.
    pub(super) fn standing(&self, host: &Host) -> Standing {
        match self.legs.iter().find(|leg| leg.link.host() == host) {
            None => Standing::Missing,
            Some(leg) if leg.link.is_up() => Standing::Up(leg.link.clone()),
            Some(leg) if leg.is_fresh => Standing::Fresh,
            Some(_) => Standing::Down,
        }
    }

    /// Every link.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Link>> {
        self.legs.iter().map(|leg| &leg.link)
    }

    /// The first link that carries commands.
    pub(super) fn first_up(&self) -> Option<Rc<Link>> {
        self.iter().find(|link| link.is_up()).cloned()
    }

    /// Lets go of the links that were not wanted for a while, or are of no use.
    pub(super) fn release(&mut self, now: Instant, is_wanted: impl Fn(&Link) -> bool) -> Vec<Rc<Link>> {
        for leg in self.legs.iter_mut().filter(|leg| is_wanted(&leg.link)) {
            leg.wanted_at = now;
        }
        let is_kept = |leg: &Leg| {
            let linger = if leg.is_fresh || leg.link.is_up() { LINGER } else { Duration::from_millis(1) };
            now.saturating_duration_since(leg.wanted_at) < linger
        };
        let released = self.legs.iter().filter(|leg| !is_kept(leg)).map(|leg| leg.link.clone()).collect();
        self.legs.retain(is_kept);
        released
    }

    /// Lets go of every link.
    pub(super) fn release_all(&mut self) -> Vec<Rc<Link>> {
        self.legs.drain(..).map(|leg| leg.link).collect()
    }
}

//! The links of one client: one to each server that it speaks to.

use std::rc::Rc;

use super::address::Host;
use super::link::Link;

/// All links of a client; a handful.
#[derive(Default)]
pub(super) struct Links {
    legs: Vec<Leg>,
}

struct Leg {
    link: Rc<Link>,
    /// No attempt has ended: it may be up in a moment.
    is_fresh: bool,
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
        self.legs.push(Leg { link, is_fresh: true });
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

    /// Lets go of the links that are not wanted any more.
    pub(super) fn release(&mut self, is_wanted: impl Fn(&Link) -> bool) -> Vec<Rc<Link>> {
        let (kept, released) =
            std::mem::take(&mut self.legs).into_iter().partition(|leg| is_wanted(&leg.link));
        self.legs = kept;
        released.into_iter().map(|leg: Leg| leg.link).collect()
    }
}

//! The counters of all cores as Prometheus text (exposition format 0.0.4). Labels come from fixed
//! lists, never from users or channels. Reads atomics and a few small files of the kernel's; no table is walked.

mod access;
mod connections;
mod cores;
mod nodes;
mod page;
mod plugin;
mod presence;
mod process;
mod recovery;
mod redis;
mod traffic;

use core_shards::Now;

use super::Surroundings;
use page::Page;

/// The whole scrape; the four names that the product is specified with come first.
pub(super) fn text(surroundings: &Surroundings, now: Now) -> String {
    let mut page = Page::default();
    connections::count(&mut page, surroundings);
    traffic::specified(&mut page, surroundings);
    connections::all(&mut page, surroundings);
    traffic::all(&mut page, surroundings);
    recovery::all(&mut page, surroundings);
    presence::all(&mut page, surroundings);
    redis::all(&mut page, surroundings);
    nodes::all(&mut page, surroundings);
    access::all(&mut page, surroundings);
    cores::all(&mut page, surroundings);
    process::all(&mut page, surroundings, now);
    plugin::all(&mut page, surroundings);
    page.into_text()
}

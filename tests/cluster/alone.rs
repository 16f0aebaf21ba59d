//! The harness on one node without Redis: what it says of a node that it is known to be sound.

use std::time::Duration;

use super::checker::judge;
use super::redis::wait_until;
use super::site::{Load, Site};
use super::stock::{StockClients, settle_all};

#[test]
fn one_node_loses_nothing_when_connections_break() {
    let site = Site::start(&[""], &[]);
    let crowd = site.crowd(Load::steady());
    for _ in 0..3 {
        crowd.wait_for_more(100);
        site.balancer.cut_all();
    }
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&site).is_without_gaps().is_answered().is_without_refusals();
    assert!(judged.returns().count() > 0, "nobody had to come back");
    assert!(judged.returns().all(|back| back.recovered), "a session was lost");
}

#[test]
fn one_node_that_is_killed_says_that_it_forgot() {
    let mut site = Site::start(&[""], &[]);
    let crowd = site.crowd(Load::steady());
    crowd.wait_for_more(100);
    site.nodes[0].kill();
    site.nodes[0].start();
    crowd.wait_until_all_are_in();
    crowd.wait_for_more(100);
    let judged = crowd.judge();
    judged.is_sound(&site).is_answered();
    assert!(judged.verdict.announcements > 0, "a loss was hidden");
    assert!(judged.slow_return() < Duration::from_secs(10), "{:?}", judged.slow_return());
}

#[test]
fn stock_clients_on_one_node_lose_nothing_when_connections_break() {
    let site = Site::start(&[""], &[]);
    let rooms = ["one", "two"];
    let start =
        |prefix: &str, way: &str| StockClients::start(site.balancer.address(), prefix, 5, &rooms, &[way]);
    let mut stock = [start("web-", "websocket"), start("poll-", "polling")];
    stock.iter_mut().for_each(StockClients::talk);
    for _ in 0..2 {
        stock.iter_mut().for_each(|clients| clients.wait_for_more(25));
        site.balancer.cut_all();
    }
    let came_back = |clients: &mut StockClients| clients.counts().returns >= 2 * 5;
    wait_until("websockets came back twice", || came_back(&mut stock[0]));
    stock.iter_mut().for_each(|clients| clients.wait_for_more(25));
    settle_all(&mut stock, 2 * 5);
    // One after the other: what the last of them said is heard by those before.
    let diaries: Vec<_> = stock.into_iter().flat_map(StockClients::end).collect();
    let verdict = judge(&diaries);
    assert!(verdict.findings.is_empty(), "{:#?}", verdict.findings);
    assert_eq!(verdict.announcements, 0);
    assert!(verdict.acked > 50 && verdict.heard == 10 * verdict.acked, "{verdict:?}");
    let returns = diaries.iter().flat_map(|diary| &diary.returns);
    assert!(returns.clone().all(|back| back.recovered) && returns.count() > 5);
}

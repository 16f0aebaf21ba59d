//! What an engine promises to tasks that an application starts itself.

use std::net::SocketAddr;
use std::sync::Arc;

use realtime::engine::threads::Engine;

use super::desk::{self, Desk};

#[test]
fn a_task_of_the_application_runs_turns_on_its_core_and_ends_with_it() {
    let shares = Arc::new(());
    let given = shares.clone();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let engine = Engine::start(desk::settings(), desk::driver(), 2, address, move |core, shared, _| {
        let mut desk = Desk::new(core, shared.postbox());
        desk.clerk = given.clone();
        desk
    })
    .unwrap();
    for _ in 0..4 {
        assert_eq!(desk::ask(&engine, "/clerk"), "by the clerk");
    }
    assert_eq!(
        Arc::strong_count(&shares),
        1 + 1 + 2 * 2,
        "ours, the maker's, and each core's desk and clerk"
    );
    engine.stop();
    assert!(Arc::strong_count(&shares) <= 1 + 2, "the clerks have gone home, whatever becomes of the desks");
}

//! Accepting connections on one core.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::application::Application;
use super::core::Core;
use super::http;
use super::metrics::Rejection;
use super::settings::REQUEST_SHARE_BYTES;
use crate::rt::{self, Either, Listener, Socket};

/// Connections taken before other work gets its turn.
const ACCEPTS_MAX: usize = 64;
/// How long to pause when the process is out of descriptors: the condition does not go away by trying again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the core does not any more. Woken by the kernel when connections wait.
pub(super) async fn run_listener<A: Application>(core: Rc<Core<A>>, listener: Listener) {
    loop {
        if core.is_share_used() {
            core.share_renewed.next().await;
        }
        match rt::race(listener.ready(), core.deaf.wait()).await {
            Either::Left(Ok(())) => {}
            Either::Left(Err(error)) => {
                tracing::warn!(core = core.id.0, %error, "cannot wait for connections");
                rt::sleep(PAUSE).await;
            }
            Either::Right(()) => break,
        }
        if let Taken::TooMany = take(&core, &listener) {
            rt::sleep(PAUSE).await;
        }
    }
    // Whoever has come before the door closes is let in, unless all are sent out already.
    while !core.stopping.is_set() && matches!(take(&core, &listener), Taken::AsManyAsMay) {}
    listener.close();
}

/// What came of accepting.
enum Taken {
    /// Nobody waits any more.
    All,
    /// More may wait.
    AsManyAsMay,
    /// The process is out of something that connections need.
    TooMany,
}

/// Accepts those who wait, but not for ever.
fn take<A: Application>(core: &Rc<Core<A>>, listener: &Listener) -> Taken {
    for _ in 0..ACCEPTS_MAX {
        match listener.accept().and_then(Socket::new) {
            Ok(socket) => {
                core.metrics.accepted.increment();
                core.count_share(REQUEST_SHARE_BYTES);
                http::serve(core, socket, Vec::new(), 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Taken::All,
            Err(error) if is_exhaustion(&error) => {
                core.metrics.reject(Rejection::Descriptors);
                return Taken::TooMany;
            }
            // The peer gave up between its SYN and now.
            Err(_) => {}
        }
    }
    Taken::AsManyAsMay
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
    )
}

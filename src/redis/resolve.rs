//! Names of hosts to addresses: on a thread of its own, because the system's way to ask blocks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::address::Host;
use crate::rt::Doorbell;

/// Looks up the name of one host. Only one question is under way at a time: who gives up waiting and asks again gets the
/// answer to the first one.
#[derive(Default)]
pub(super) struct Resolver {
    asked: Option<Asked>,
}

struct Asked {
    answered: Arc<Doorbell>,
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
}

impl Resolver {
    /// The addresses of a host. An IP address is its own.
    ///
    /// # Errors
    /// The system's, also if it has no more threads.
    pub(super) async fn resolve(&mut self, host: &Host) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, host.port)]);
        }
        if self.asked.is_none() {
            self.asked = Some(ask(host.clone())?);
        }
        let Some(asked) = &self.asked else { return Err(io::ErrorKind::NotFound.into()) };
        asked.answered.answered().await;
        // The thread answers before it rings, or it died before it did either.
        let answer = asked.answer.try_recv().unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into()));
        self.asked = None;
        answer
    }
}

fn ask(host: Host) -> io::Result<Asked> {
    let (sender, answer) = bounded(1);
    let answered = Arc::new(Doorbell::default());
    let doorbell = answered.clone();
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (host.name.as_str(), host.port).to_socket_addrs().map(Iterator::collect);
        // Nobody may be there any more.
        let _ = sender.send(found);
        doorbell.ring();
    })?;
    Ok(Asked { answered, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::{self, Driver};

    #[test]
    fn names_and_addresses_become_addresses() {
        let check = |name: &'static str| {
            let host = Host { name: name.to_owned(), port: 7 };
            rt::run(Driver::Epoll, || async move { Resolver::default().resolve(&host).await }).unwrap()
        };
        assert_eq!(check("::1").unwrap(), ["[::1]:7".parse().unwrap()]);
        assert!(check("localhost").unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(check("no-such-host.invalid").is_err());
    }
}

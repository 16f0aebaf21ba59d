//! Readiness on every driver that the machine has: nothing is announced twice, and nothing is lost.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::*;
use crate::rt::{self, Driver, DriverPreference, Either, Guard, Socket, Yield, choose_driver, race};

/// Guards tasks that do not panic.
struct Nobody;

impl Guard for Nobody {
    fn handle_panic(&self, _: Box<dyn std::any::Any + Send>) {
        unreachable!("the tasks of these tests do not panic");
    }
}

/// Runs `task` on every driver that this machine has.
fn on_both<F: Future<Output = ()>>(task: impl Fn() -> F) {
    let mut drivers = vec![Driver::Epoll];
    drivers.extend(choose_driver(DriverPreference::Uring, 1).ok().map(|choice| choice.driver));
    for driver in drivers {
        rt::run(driver, &task).unwrap();
    }
}

/// A socket of ours, and its peer.
fn pair() -> (Socket, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Socket::new(ours.into()).unwrap(), peer)
}

/// Lets everything happen that is ready.
async fn settle(give_way: &Yield) {
    for _ in 0..3 {
        give_way.pass().await;
    }
}

/// Whether a wait would go on at once.
async fn is_readable(socket: &Socket) -> bool {
    matches!(race(socket.readable(), std::future::ready(())).await, Either::Left(()))
}

#[test]
fn what_came_before_a_wait_ends_it_and_what_was_read_does_not() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let (socket, mut peer) = pair();
        settle(&give_way).await;
        assert!(!is_readable(&socket).await);
        peer.write_all(b"hello").unwrap();
        settle(&give_way).await;
        assert!(is_readable(&socket).await);
        let mut buffer = [0; 3];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 3);
        assert!(is_readable(&socket).await, "there may be more");
        assert_eq!(socket.recv(&mut buffer).unwrap(), 2);
        assert!(!is_readable(&socket).await);
        assert_eq!(socket.recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_wait_that_was_dropped_loses_nothing() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let (socket, mut peer) = pair();
        for _ in 0..3 {
            assert!(!is_readable(&socket).await);
        }
        peer.write_all(b"x").unwrap();
        settle(&give_way).await;
        socket.readable().await;
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn the_end_behind_the_last_bytes_is_seen_though_they_came_as_one_event() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let (socket, mut peer) = pair();
        peer.write_all(b"bye").unwrap();
        drop(peer);
        settle(&give_way).await;
        socket.readable().await;
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 3);
        socket.readable().await;
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_task_that_waits_is_woken_when_its_own_side_is_shut() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let (socket, _peer) = pair();
        let (socket, is_over) = (Rc::new(socket), Rc::new(Cell::new(false)));
        let (waiting, said) = (socket.clone(), is_over.clone());
        rt::spawn(
            async move {
                waiting.readable().await;
                said.set(waiting.recv(&mut [0; 8]).is_ok_and(|count| count == 0));
            },
            Nobody,
        );
        settle(&give_way).await;
        assert!(!is_over.get());
        socket.shutdown_both();
        settle(&give_way).await;
        assert!(is_over.get());
    });
}

#[test]
fn room_is_announced_each_time_that_somebody_waits_for_it() {
    on_both(async || {
        let (socket, mut peer) = pair();
        for _ in 0..3 {
            let mut sent = 0;
            while let Ok(count) = socket.send(&[7; 4096]) {
                sent += count;
            }
            let mut received = vec![0; sent];
            peer.read_exact(&mut received).unwrap();
            socket.writable().await.unwrap();
        }
        socket.writable().await.unwrap();
    });
}

#[test]
fn an_event_of_a_former_socket_is_not_its_successors() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let (former, mut peer) = pair();
        peer.write_all(b"late").unwrap();
        let former_fd = former.into_fd();
        let (socket, _other_peer) = pair();
        settle(&give_way).await;
        assert!(!is_readable(&socket).await);
        // What was given up is registered elsewhere, with what waits on it.
        let again = Socket::new(former_fd).unwrap();
        settle(&give_way).await;
        assert!(is_readable(&again).await);
    });
}

#[test]
fn more_sockets_than_one_look_takes_are_all_heard() {
    on_both(async || {
        let give_way = Yield::new().unwrap();
        let mut pairs: Vec<_> = (0..2 * EVENTS_MAX + 1).map(|_| pair()).collect();
        for (_, peer) in &mut pairs {
            peer.write_all(b"x").unwrap();
        }
        for _ in 0..4 {
            settle(&give_way).await;
        }
        for (socket, _) in &pairs {
            assert!(is_readable(socket).await);
        }
    });
}

#[test]
fn a_registered_socket_is_small() {
    assert!(size_of::<Entry>() <= 24, "{}", size_of::<Entry>());
}

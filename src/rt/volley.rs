//! Writing to many sockets with one call to the kernel.
//!
//! A ring of its own, beside the reactor's: every send in it finishes inside the call that submits it, because none
//! may block. So it is a `send(2)` for many, and nothing is on its way when it returns.

use std::io;

use io_uring::{IoUring, opcode, types};

use super::driver::{Driver, set_ring_flags};
use super::socket::{SEND_FLAGS, Socket};

/// Sends in one call to the kernel. More are made in several.
pub const VOLLEY_SENDS_MAX: usize = 128;

/// Fewer sends than this are made one by one: a call to a ring costs more than a `send(2)`.
const VOLLEY_SENDS_MIN: usize = 3;

/// Sends to many sockets at once where the core has io_uring, one by one elsewhere.
pub struct Volley {
    ring: Option<IoUring>,
}

impl Default for Volley {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Volley {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Volley").field("has_ring", &self.ring.is_some()).finish()
    }
}

impl Volley {
    /// With a ring if the reactor of this thread runs on io_uring.
    pub fn new() -> Self {
        let ring = super::DRIVER.get().and_then(|driver| match driver {
            Driver::Uring => build_ring().inspect_err(warn_of_single_sends).ok(),
            Driver::Epoll => None,
        });
        Self { ring }
    }

    /// Sends each piece to its socket, as [`Socket::send`] does, in order, and appends to `outcomes` what came of each.
    /// At most [`VOLLEY_SENDS_MAX`] pieces go out together.
    pub fn fire<'a>(
        &mut self,
        pieces: impl ExactSizeIterator<Item = (&'a Socket, &'a [u8])> + Clone,
        outcomes: &mut Vec<io::Result<usize>>,
    ) {
        match &mut self.ring {
            Some(ring) if (VOLLEY_SENDS_MIN..=VOLLEY_SENDS_MAX).contains(&pieces.len()) => {
                if let Err(error) = fire_together(ring, pieces, outcomes) {
                    warn_of_single_sends(&error);
                    self.ring = None;
                }
            }
            _ => outcomes.extend(pieces.map(|(socket, bytes)| socket.send(bytes))),
        }
    }
}

fn warn_of_single_sends(error: &io::Error) {
    tracing::warn!(%error, "a ring for sends is lost: this core sends one by one from now on");
}

/// The ring of a volley; the driver's choice tries it, too.
pub(super) fn build_ring() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    set_ring_flags(&mut builder);
    builder.setup_submit_all();
    builder.build(u32::try_from(VOLLEY_SENDS_MAX).expect("a ring has few entries"))
}

/// One outcome for each piece, at most as many as the ring has entries. After an error the ring must not be used
/// again.
fn fire_together<'a>(
    ring: &mut IoUring,
    pieces: impl ExactSizeIterator<Item = (&'a Socket, &'a [u8])> + Clone,
    outcomes: &mut Vec<io::Result<usize>>,
) -> io::Result<()> {
    let first = outcomes.len();
    for (number, (socket, bytes)) in pieces.clone().enumerate() {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(types::Fd(socket.fd()), bytes.as_ptr(), length)
            .flags(SEND_FLAGS)
            .build()
            .user_data(number as u64);
        #[expect(unsafe_code, reason = "the kernel reads the buffer of a submitted send")]
        // SAFETY: sockets and bytes are borrowed for the call of this function. The kernel reads them before the
        // submission returns, because the send may not block, and what it did not take is never submitted later:
        // after an error the ring is dropped.
        let pushed = unsafe { ring.submission().push(&send) };
        pushed.expect("the ring is empty between two calls and has an entry for each piece");
        outcomes.push(Err(io::ErrorKind::ConnectionAborted.into()));
    }
    let mut left = pieces.len();
    loop {
        let submitted = ring.submit_and_wait(left);
        for completion in ring.completion() {
            let result = completion.result();
            outcomes[first + completion.user_data() as usize] =
                usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
            left -= 1;
        }
        match submitted {
            _ if left == 0 => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let unsent = ring.submission().len();
                let sent = pieces.len() - unsent;
                for ((socket, bytes), outcome) in pieces.zip(&mut outcomes[first..]).skip(sent) {
                    *outcome = socket.send(bytes);
                }
                return Err(error);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::rt;

    fn check(driver: Driver) {
        rt::run(driver, || async move {
            let (mut sockets, mut clients) = (Vec::new(), Vec::new());
            for number in 0..2 * VOLLEY_SENDS_MAX + 1 {
                let (node, client) = UnixStream::pair().unwrap();
                node.set_nonblocking(true).unwrap();
                client.set_nonblocking(true).unwrap();
                sockets.push(Socket::new(node.into()).unwrap());
                clients.push((number % 7 != 6).then_some(client));
            }
            let texts: Vec<String> = (0..sockets.len()).map(|number| format!("piece {number}")).collect();
            let pieces: Vec<_> = sockets.iter().zip(texts.iter().map(|text| text.as_bytes())).collect();
            let (mut volley, mut outcomes) = (Volley::new(), Vec::new());
            for count in [1, VOLLEY_SENDS_MIN, VOLLEY_SENDS_MAX, pieces.len()] {
                outcomes.clear();
                volley.fire(pieces[..count].iter().copied(), &mut outcomes);
                assert_eq!(outcomes.len(), count);
                for (number, outcome) in outcomes.iter().enumerate() {
                    let Some(client) = &mut clients[number] else {
                        assert_eq!(outcome.as_ref().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
                        continue;
                    };
                    assert_eq!(*outcome.as_ref().unwrap(), texts[number].len());
                    let mut heard = [0; 32];
                    let length = client.read(&mut heard).unwrap();
                    assert_eq!(&heard[..length], texts[number].as_bytes());
                }
            }
            let large = vec![b'x'; 1 << 20];
            let pieces: Vec<_> = sockets.iter().take(4).map(|socket| (socket, large.as_slice())).collect();
            for taken in [1..large.len(), 0..1] {
                outcomes.clear();
                volley.fire(pieces.iter().copied(), &mut outcomes);
                for outcome in &outcomes {
                    let count = match outcome {
                        Ok(count) => *count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                        Err(error) => panic!("{error}"),
                    };
                    assert!(taken.contains(&count), "{count}");
                }
            }
        })
        .unwrap();
    }

    #[test]
    fn each_piece_reaches_its_socket_or_fails_alone() {
        check(Driver::Epoll);
        if rt::choose_driver(rt::DriverPreference::Uring, 2).is_ok() {
            check(Driver::Uring);
        }
    }
}

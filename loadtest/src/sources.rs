//! The local addresses that connections start from. One address has about 28,000 ports towards one server, and a
//! port that was just closed stays taken for a minute, so a run with many connections needs several.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use crate::seating::Seat;

/// Connections per source address: beyond some 12,000 the kernel takes long to find a free port.
const CONNECTIONS_PER_SOURCE: u32 = 10_000;
/// Source addresses of one life of all connections: what the last byte of an address has room for.
pub const SOURCES_MAX: u32 = 250;
/// How many lives of a seat start from other addresses before the first ones come up again.
const LIVES: u32 = 250;

/// Which source address each connection has; none if the server is not on an IPv4 loopback address.
///
/// With 2 sources in run 4, seats 0 2 4 … start from 127.0.5.2 and seats 1 3 5 … from 127.0.5.3 in their first life;
/// after their first reconnect from 127.1.5.2 and 127.1.5.3.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    count: NonZeroU32,
    is_loopback: bool,
    /// The second-last byte; different runs use different ones so that the ports a run has just closed do not stand
    /// in the way of the next.
    net: u8,
}

impl Sources {
    /// `wanted` addresses, or enough for `seats` connections, towards `server`; `run` picks which.
    pub fn new(server: SocketAddr, wanted: Option<NonZeroU32>, seats: u32, run: u32) -> Self {
        let enough = NonZeroU32::new(seats.div_ceil(CONNECTIONS_PER_SOURCE)).unwrap_or(NonZeroU32::MIN);
        let most = NonZeroU32::new(SOURCES_MAX).unwrap_or(NonZeroU32::MIN);
        let is_loopback = matches!(server.ip(), IpAddr::V4(address) if address.is_loopback());
        Self { count: wanted.unwrap_or(enough).min(most), is_loopback, net: (run % 250) as u8 + 1 }
    }

    /// Where the connection of `seat` starts from in its life number `life`, from 0; `None` leaves it to the kernel.
    pub fn address(&self, seat: Seat, life: u32) -> Option<SocketAddr> {
        let host = (seat.0 % self.count) as u8 + 2;
        let source = Ipv4Addr::new(127, (life % LIVES) as u8, self.net, host);
        self.is_loopback.then(|| SocketAddr::new(IpAddr::V4(source), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(server: &str, wanted: Option<u32>, seats: u32, asked: (u32, u32), expected: Option<&str>) {
        let wanted = wanted.and_then(NonZeroU32::new);
        let sources = Sources::new(server.parse().unwrap(), wanted, seats, 4);
        let found = sources.address(Seat(asked.0), asked.1).map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected, "{server} {wanted:?} {seats} {asked:?}");
    }

    #[test]
    fn many_connections_to_loopback_start_from_several_addresses() {
        check("127.0.0.1:1", None, 10_000, (9_999, 0), Some("127.0.5.2:0"));
        check("127.0.0.1:1", None, 10_001, (9_999, 0), Some("127.0.5.3:0"));
        check("127.0.0.1:1", Some(3), 10, (2, 0), Some("127.0.5.4:0"));
        check("127.0.0.1:1", Some(100_000), 10, (249, 0), Some("127.0.5.251:0"));
        check("192.0.2.1:80", None, 10, (0, 0), None);
        check("[::1]:80", Some(2), 10, (0, 0), None);
    }

    #[test]
    fn a_seat_that_comes_back_does_not_meet_the_ports_it_left() {
        check("127.0.0.1:1", None, 10, (3, 1), Some("127.1.5.2:0"));
        check("127.0.0.1:1", None, 10, (3, 251), Some("127.1.5.2:0"));
    }
}

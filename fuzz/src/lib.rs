//! Owns the fuzz targets: one function per parser that reads what strangers or other nodes send, and the inputs to begin with.
//!
//! A target panics when a promise is broken: a panic in the parser, a reading that depends on how the bytes were cut,
//! or memory that grows beyond the bytes that were fed. Two drivers run the same functions: `cargo +nightly fuzz run
//! <target> --features libfuzzer` is guided by coverage, `cargo run --release --bin smoke` needs nothing but stable.

pub mod chat_request;
pub mod deflate_offer;
pub mod engine_io_payload;
pub mod http_body;
pub mod http_head;
pub mod json;
pub mod mutation;
pub mod pieces;
pub mod redis_replies;
pub mod relay;
pub mod socket_io_packet;
pub mod websocket_decoder;

/// A target is one promise that holds for every input.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name, the same as the module's and the libFuzzer binary's.
    pub name: &'static str,
    /// Panics when the promise is broken.
    pub run: fn(&[u8]),
    /// Valid inputs, from which others are made by mutation.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "websocket_decoder", run: websocket_decoder::target, seeds: websocket_decoder::seeds },
    Target { name: "http_head", run: http_head::target, seeds: http_head::seeds },
    Target { name: "http_body", run: http_body::target, seeds: http_body::seeds },
    Target { name: "deflate_offer", run: deflate_offer::target, seeds: deflate_offer::seeds },
    Target { name: "engine_io_payload", run: engine_io_payload::target, seeds: engine_io_payload::seeds },
    Target { name: "json", run: json::target, seeds: json::seeds },
    Target { name: "redis_replies", run: redis_replies::target, seeds: redis_replies::seeds },
    Target { name: "socket_io_packet", run: socket_io_packet::target, seeds: socket_io_packet::seeds },
    Target { name: "relay", run: relay::target, seeds: relay::seeds },
    Target { name: "chat_request", run: chat_request::target, seeds: chat_request::seeds },
];

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use super::mutation::Mutator;

    #[test]
    fn every_seed_and_its_first_mutations_keep_the_promises() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{}", target.name);
            seeds.iter().for_each(|seed| (target.run)(seed));
            (target.run)(&[]);
            let mutator = Mutator::new(seeds);
            (0..2000).for_each(|case| (target.run)(&mutator.input(1, case)));
        }
    }
}

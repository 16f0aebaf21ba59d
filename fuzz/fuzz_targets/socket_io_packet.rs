//! Runs `realtime_fuzz::socket_io_packet` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::socket_io_packet::target(input));

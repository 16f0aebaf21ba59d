//! Runs `realtime_fuzz::websocket_decoder` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::websocket_decoder::target(input));

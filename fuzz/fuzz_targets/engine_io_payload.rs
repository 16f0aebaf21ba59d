//! Runs `realtime_fuzz::engine_io_payload` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::engine_io_payload::target(input));

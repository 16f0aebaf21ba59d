//! Runs `realtime_fuzz::relay` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::relay::target(input));

//! Runs `realtime_fuzz::deflate_offer` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::deflate_offer::target(input));

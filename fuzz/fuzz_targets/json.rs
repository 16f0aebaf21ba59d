//! Runs `realtime_fuzz::json` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::json::target(input));

//! Runs `realtime_fuzz::redis_replies` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::redis_replies::target(input));

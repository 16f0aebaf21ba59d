//! Runs `realtime_fuzz::http_head` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::http_head::target(input));

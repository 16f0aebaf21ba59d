//! Runs `realtime_fuzz::chat_request` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| realtime_fuzz::chat_request::target(input));

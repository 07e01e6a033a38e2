//! Fuzzes whole transactions of the embedded ruleset.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::transaction(data));

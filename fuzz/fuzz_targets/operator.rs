//! Fuzzes every operator that takes its argument from rule text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::operator(data));

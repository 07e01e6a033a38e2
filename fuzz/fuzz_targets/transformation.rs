//! Fuzzes every transformation, and what sieves claim of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::transformation(data));

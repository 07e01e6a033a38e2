//! Fuzzes every body parser, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::body(data));

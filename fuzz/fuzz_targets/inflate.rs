//! Fuzzes every decompressor, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::inflate(data));

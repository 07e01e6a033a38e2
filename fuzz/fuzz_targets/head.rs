//! Fuzzes heads, targets, arguments, cookies, media types.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::head(data));

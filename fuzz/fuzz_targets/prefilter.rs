//! Fuzzes transactions with and without prefilters.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::prefilter(data));

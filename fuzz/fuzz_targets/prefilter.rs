//! Fuzzes transactions with and without prefilters.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: portcullis_fuzz::Exchange| portcullis_fuzz::prefilter(&data));

//! Fuzzes whole transactions of the embedded ruleset.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: portcullis_fuzz::Exchange| portcullis_fuzz::transaction(&data));

//! Fuzzes SecLang, and what is printed of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::seclang(data));

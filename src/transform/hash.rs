//! `md5`, `sha1` and `length`: results that say something about a value without being it.

use md5::Md5;
use sha1::{Digest, Sha1};
use std::io::Write;

pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&Md5::digest(input));
    out != input
}

pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&Sha1::digest(input));
    out != input
}

pub(super) fn length(input: &[u8], out: &mut Vec<u8>) -> bool {
    // The one value that is its own length; asked first so that nothing is written for it.
    if input == b"1" {
        return false;
    }
    write!(out, "{}", input.len()).is_ok()
}

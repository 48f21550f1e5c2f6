#![no_main]

#[path = "../checks/comment.rs"]
mod comment;

libfuzzer_sys::fuzz_target!(|data: &[u8]| comment::check(data));

//! libFuzzer's way into [`pqlane_fuzz::rest_path`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::rest_path::run(bytes);
});

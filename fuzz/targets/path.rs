//! libFuzzer's way into [`pqlane_fuzz::path`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::path::run(bytes);
});

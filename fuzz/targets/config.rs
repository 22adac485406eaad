//! libFuzzer's way into [`pqlane_fuzz::config`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::config::run(bytes);
});

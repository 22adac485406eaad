//! libFuzzer's way into [`pqlane_fuzz::head`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::head::run(bytes);
});

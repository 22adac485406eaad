//! libFuzzer's way into [`pqlane_fuzz::leaf`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::leaf::run(bytes);
});

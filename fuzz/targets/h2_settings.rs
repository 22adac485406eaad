//! libFuzzer's way into [`pqlane_fuzz::h2_settings`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::h2_settings::run(bytes);
});

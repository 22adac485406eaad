//! libFuzzer's way into [`pqlane_fuzz::sealed_id`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::sealed_id::run(bytes);
});

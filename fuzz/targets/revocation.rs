//! libFuzzer's way into [`pqlane_fuzz::revocation`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::revocation::run(bytes);
});

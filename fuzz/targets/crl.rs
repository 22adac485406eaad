//! libFuzzer's way into [`pqlane_fuzz::crl`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::crl::run(bytes);
});

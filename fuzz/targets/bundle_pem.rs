//! libFuzzer's way into [`pqlane_fuzz::bundle_pem`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::bundle_pem::run(bytes);
});

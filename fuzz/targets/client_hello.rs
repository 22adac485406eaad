//! libFuzzer's way into [`pqlane_fuzz::client_hello`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::client_hello::run(bytes);
});

//! libFuzzer's way into [`pqlane_fuzz::rpc`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::rpc::run(bytes);
});

//! libFuzzer's way into [`pqlane_fuzz::peer_chain`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::peer_chain::run(bytes);
});

//! libFuzzer's way into [`pqlane_fuzz::event_stream`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::event_stream::run(bytes);
});

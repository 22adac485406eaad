//! libFuzzer's way into [`pqlane_fuzz::mcp_headers`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::mcp_headers::run(bytes);
});

//! libFuzzer's way into [`pqlane_fuzz::grpc_call`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::grpc_call::run(bytes);
});

//! libFuzzer's way into [`pqlane_fuzz::deny_list`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pqlane_fuzz::deny_list::run(bytes);
});

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    zitadel_secret_operator::properties::template(data);
});

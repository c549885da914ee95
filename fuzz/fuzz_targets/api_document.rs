#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sallyport::fuzzing::api_document(data));

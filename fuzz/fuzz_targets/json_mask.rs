#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sallyport::fuzzing::json_mask(data));

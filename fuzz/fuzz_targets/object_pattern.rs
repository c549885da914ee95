#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sallyport::fuzzing::object_pattern(data));

//! An scp command and both directions of its stream. Input: the command, a line end, then steps as for `sftp`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sallyport::domain::Action;
use sallyport::protocol::ssh::inspect::{Ask, Flow, Inspect};
use sallyport::protocol::ssh::scp::{Limits, ScpInspector, command};

struct Everything;

impl Ask for Everything {
    fn allow(&mut self, _: &Action) -> Result<(), String> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Some(command) = parts.next().and_then(command::parse) else { return };
    let mut inspector = ScpInspector::new(command, Limits::default());
    let mut flow = Flow::default();
    let mut rest = parts.next().unwrap_or_default();
    while let Some(([side, high, low], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(after.len()));
        rest = after;
        let passed = if side % 2 == 0 {
            inspector.from_client(bytes, &mut Everything, &mut flow)
        } else {
            inspector.from_element(bytes, &mut Everything, &mut flow)
        };
        if passed.is_err() {
            break;
        }
    }
    inspector.finish(&mut flow);
});

//! What must also hold for an allow holds for every way of doing it.

use std::fs;

use crate::harness::element::Profile;
use crate::harness::lab::Lab;
use crate::harness::need;

#[test]
fn what_files_take_besides_is_asked_of_every_transfer() {
    need!("sshd", "scp", "sftp");
    let lab = Lab::with(Profile::Modern, "", |site| {
        site.row("p2, user:ada, element:linux-1, *, file.*, **, assurance:3");
    });
    let dir = lab.site.scratch();
    fs::write(dir.join("secret"), "marker-of-the-element\n").expect("a file");
    fs::write(dir.join("mine"), "marker-of-ada\n").expect("a file");
    // What has no such obligation is allowed, so that it is the obligation which denies the rest.
    assert_eq!(lab.pair.gateway.run(&["echo reached"]).ok().text(), "reached\n");
    for (name, script) in [
        ("put", "printf 'put mine '$D'/written\\n' | $SFTP -b - $HOST"),
        ("get", "printf 'get '$D'/secret '$D'/read\\n' | $SFTP -b - $HOST"),
        ("remove", "printf 'rm '$D'/secret\\n' | $SFTP -b - $HOST"),
        ("rename", "printf 'rename '$D'/secret '$D'/written\\n' | $SFTP -b - $HOST"),
        ("list", "printf 'ls '$D'\\n' | $SFTP -b - $HOST"),
        ("scp to", "$SCP mine $HOST:$D/written"),
        ("scp from", "$SCP $HOST:$D/secret read"),
        ("scp -O to", "$SCP -O mine $HOST:$D/written"),
        ("scp -O from", "$SCP -O $HOST:$D/secret read"),
    ] {
        let ran = lab.pair.gateway.script(&dir, script);
        assert_ne!(ran.code(), 0, "{name}: {}", ran.all());
        assert!(!ran.text().contains("marker") && !ran.text().contains("client_key"), "{name}: {}", ran.all());
        for made in ["written", "read"] {
            assert!(
                !fs::read_to_string(dir.join(made)).is_ok_and(|text| text.contains("marker")),
                "{name} made {made}"
            );
        }
        assert!(dir.join("secret").exists(), "{name}");
    }
    let denied = |e: &serde_json::Value| e["event"]["event"] == "denied" && e.to_string().contains("\"file.");
    assert!(lab.site.events().iter().any(denied), "and it is on record");
}

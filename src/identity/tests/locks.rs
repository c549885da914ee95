//! The lock file: durable, shared between processes, and never silently empty.

use crate::domain::{Assurance, Door, Timestamp};
use crate::identity::fixture::someone;
use crate::identity::{Lock, LockSubject, Locks};

fn lock(subject: &str, until: Option<i64>) -> Lock {
    let subject = subject.parse().unwrap();
    Lock {
        subject,
        reason: "left the company".to_owned(),
        by: "sec".to_owned(),
        at: Timestamp::from_secs(1),
        until: until.map(Timestamp::from_secs),
    }
}

fn open(folder: &tempfile::TempDir) -> Locks {
    Locks::open(&folder.path().join("locks.json")).unwrap()
}

#[test]
fn subjects_have_one_text_form() {
    for text in ["user:ada", "device:laptop-7", "element:core-rtr-1"] {
        assert_eq!(text.parse::<LockSubject>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "ada",
        "user:",
        "user",
        "user:Ada",
        "user:ada ",
        "User:ada",
        "element:a b",
        "element:",
        "group:noc",
        "user:a/b",
        ":ada",
        "device:*",
    ] {
        assert!(text.parse::<LockSubject>().is_err(), "{text}");
    }
}

#[test]
fn a_lock_shuts_out_its_subject_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let locks = open(&folder);
    let ada = someone("ada", Some("laptop"), Assurance::MutualTls, Door::Mtls);
    let eve = someone("eve", None, Assurance::MutualTls, Door::Mtls);
    let router = "core-rtr-1".parse().unwrap();
    let found = |who, at| locks.find(who, Some(&router), Timestamp::from_secs(at)).map(|lock| lock.subject.to_string());
    assert_eq!(found(&ada, 5), None);
    for subject in ["user:ada", "device:laptop", "element:core-rtr-1"] {
        locks.add(lock(subject, Some(10))).unwrap();
        assert_eq!((found(&ada, 9), found(&ada, 10)), (Some(subject.to_owned()), None));
        assert_eq!(found(&eve, 9).is_some(), subject.starts_with("element"), "{subject}");
        assert_eq!((locks.list(Timestamp::from_secs(9)).len(), locks.list(Timestamp::from_secs(10)).len()), (1, 0));
        assert!(locks.remove(&subject.parse().unwrap()).unwrap());
        assert!(!locks.remove(&subject.parse().unwrap()).unwrap(), "already gone");
        assert_eq!(found(&ada, 9), None);
    }
    locks.add(lock("user:ada", None)).unwrap();
    assert!(found(&ada, i64::MAX / 2_000_000_000).is_some(), "for good");
}

#[test]
fn locks_outlive_the_process_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let locks = open(&folder);
    let mut told = locks.subscribe();
    locks.add(lock("user:ada", None)).unwrap();
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    locks.remove(&"user:ada".parse().unwrap()).unwrap();
    assert!(told.has_changed().unwrap());
    locks.add(lock("user:eve", Some(10))).unwrap();
    assert_eq!(open(&folder).list(Timestamp::from_secs(1)), [lock("user:eve", Some(10))]);
}

#[test]
fn what_another_process_writes_is_taken_up_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, command) = (open(&folder), open(&folder));
    gateway.add(lock("user:ada", None)).unwrap();
    assert_eq!(command.reload().unwrap().added, [lock("user:ada", None)]);
    command.add(lock("user:eve", None)).unwrap();
    gateway.add(lock("user:bob", None)).unwrap();
    let told = gateway.subscribe();
    let changes = gateway.reload().unwrap();
    assert_eq!((changes.added, changes.removed), (vec![lock("user:eve", None)], vec![]));
    assert!(told.has_changed().unwrap());
    command.reload().unwrap();
    assert!(command.remove(&"user:ada".parse().unwrap()).unwrap());
    command.add(lock("user:eve", Some(9))).unwrap();
    let changes = gateway.reload().unwrap();
    assert_eq!((changes.added, changes.removed), (vec![lock("user:eve", Some(9))], vec![lock("user:ada", None)]));
    let told = gateway.subscribe();
    assert_eq!(gateway.reload().unwrap(), Default::default());
    assert!(!told.has_changed().unwrap(), "nothing changed, nobody is disturbed");
}

#[test]
fn a_file_that_is_broken_or_gone_unlocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("locks.json");
    let locks = open(&folder);
    locks.add(lock("user:ada", None)).unwrap();
    let good = std::fs::read_to_string(&file).unwrap();
    let twice = good.replace(']', &format!(",{}", good.replacen('[', "", 1)));
    let broken = [
        "",
        "{}",
        "null",
        "[",
        &good[..good.len() / 2],
        &twice,
        &good.replace("user:", "group:"),
        &good.replace("\"by\"", "\"bye\""),
    ];
    for text in broken {
        std::fs::write(&file, text).unwrap();
        assert!(locks.reload().is_err(), "{text}");
        assert!(Locks::open(&file).is_err(), "{text}");
        assert_eq!(locks.list(Timestamp::from_secs(2)).len(), 1, "{text}");
        // A lock that cannot be written is in force all the same.
        assert!(locks.add(lock("user:eve", None)).is_err(), "{text}");
        assert_eq!(locks.list(Timestamp::from_secs(2)).len(), 2, "{text}");
        // One that cannot be taken away durably stays.
        assert!(locks.remove(&"user:eve".parse().unwrap()).is_err(), "{text}");
        assert_eq!(locks.list(Timestamp::from_secs(2)).len(), 2, "{text}");
        std::fs::write(&file, &good).unwrap();
        locks.reload().unwrap();
    }
    std::fs::remove_file(&file).unwrap();
    assert!(locks.reload().is_err());
    assert_eq!(locks.list(Timestamp::from_secs(2)).len(), 1);
    assert!(open(&folder).reload().is_ok(), "no file and no locks: nothing to lose");
}

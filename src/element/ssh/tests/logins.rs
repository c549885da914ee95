//! What an element may ask at login, and what it gets.

use russh::Preferred;

use super::*;
use crate::element::ssh::fake::{Fake, Manners};

const PASSWORD: &str = "{ kind = \"password\", secret = \"pw\" }";

type Rounds = Vec<Vec<(String, bool)>>;

fn prompts(rounds: &[&[(&str, bool)]]) -> Rounds {
    rounds.iter().map(|round| round.iter().map(|(text, echo)| ((*text).to_owned(), *echo)).collect()).collect()
}

/// Logs in with this credential; what happened and what the element heard.
async fn log_in(manners: Manners, credential: &str) -> (Result<(), DialError>, Vec<String>) {
    let mut fake = Fake::start(manners, Preferred::DEFAULT).await;
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), "pw", b"s3");
    store(dir.path(), "who", b"admin2");
    store(dir.path(), "key", key(2).to_openssh(Default::default()).unwrap().as_bytes());
    store(dir.path(), "binary", &[0xff; 4]);
    let element = element(&[&fake.address], &pinned(1), credential, "");
    let result = open(&config(dir.path()), &element, &"admin".parse().unwrap(), Opening::Session).await.map(drop);
    let mut heard = Vec::new();
    while let Ok(text) = fake.heard.try_recv() {
        heard.push(text);
    }
    (result, heard)
}

#[tokio::test]
async fn a_wrong_host_key_gets_no_secret() {
    let mut fake =
        Fake::start(Manners { password: true, expects: vec!["s3".into()], ..Manners::default() }, Preferred::DEFAULT)
            .await;
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), "pw", b"s3");
    let wrong = element(&[&fake.address], &pinned(5), PASSWORD, "");
    let error = open(&config(dir.path()), &wrong, &"admin".parse().unwrap(), Opening::Session).await.unwrap_err();
    let DialError::HostKey { address, presented, expected } = error else { panic!("{error}") };
    assert_eq!((address, expected.len()), (fake.address.clone(), 1));
    assert!(presented.contains(&key(1).public_key().fingerprint(HashAlg::Sha256).to_string()));
    assert!(fake.heard.try_recv().is_err(), "no login was tried");
}

#[tokio::test]
async fn credentials_that_work() {
    let open = Manners::default();
    let password = Manners { password: true, expects: vec!["s3".into()], ..open.clone() };
    let dialogue = Manners { rounds: prompts(&[&[("Password: ", false)]]), expects: vec!["s3".into()], ..open.clone() };
    let empty_rounds =
        Manners { rounds: prompts(&[&[], &[("Password: ", false)], &[]]), expects: vec!["s3".into()], ..open.clone() };
    let listed = "{ kind = \"password\", secret = \"pw\", prompts = [{ matches = \"user*:\", secret = \"who\", echo = true }, { matches = \"pin:\" }] }";
    let two = Manners {
        rounds: prompts(&[&[("Username:", true), ("PIN:", false)]]),
        expects: vec!["admin2".into(), "s3".into()],
        ..password.clone()
    };
    for (manners, credential, expected) in [
        (open.clone(), CERTIFICATE, vec!["certificate admin spiffe://x/user/a#s"]),
        (open.clone(), "{ kind = \"key\", secret = \"key\" }", vec!["key admin"]),
        (password, PASSWORD, vec!["password admin s3"]),
        (dialogue, PASSWORD, vec!["answers [\"s3\"]"]),
        (empty_rounds, PASSWORD, vec!["answers []", "answers [\"s3\"]", "answers []"]),
        (two, listed, vec!["answers [\"admin2\", \"s3\"]"]),
    ] {
        let (result, heard) = log_in(manners.clone(), credential).await;
        assert!(result.is_ok(), "{manners:?} {result:?}");
        assert_eq!(heard, expected, "{manners:?}");
    }
}

#[tokio::test]
async fn dialogues_that_get_nothing() {
    let many: Vec<(&str, bool)> = vec![("Password:", false); 9];
    let rows: Vec<(Rounds, &str)> = vec![
        (prompts(&[&[("Verification code: ", false)]]), "Verification code: "),
        (prompts(&[&[("Password: ", true)]]), "shows the answer"),
        (prompts(&[&[("Password: ", false), ("Your mother's name?", false)]]), "mother"),
        (prompts(&[&[("New password: ", false)]]), "New password: "),
        (prompts(&[&[("\u{1b}]0;x\u{7}Password? ", false)]]), "Password? "),
        (prompts(&[&many]), "9 questions"),
    ];
    for (rounds, expected) in rows {
        let (result, heard) = log_in(Manners { rounds, ..Manners::default() }, PASSWORD).await;
        let Err(DialError::Login(text)) = &result else { panic!("{result:?}") };
        assert!(text.contains(expected) && !text.contains('\u{1b}'), "{text}");
        assert!(!heard.iter().any(|h| h.starts_with("answers")), "{heard:?}");
    }
}

#[tokio::test]
async fn an_element_that_asks_for_ever_is_left() {
    let round: &[(&str, bool)] = &[("Password: ", false)];
    let manners = Manners { rounds: prompts(&[round; 40]), expects: vec!["s3".into()], ..Manners::default() };
    let (result, heard) = log_in(manners, PASSWORD).await;
    assert!(matches!(&result, Err(DialError::Login(text)) if text.contains("more than 5 times")), "{result:?}");
    assert_eq!(heard.iter().filter(|h| h.starts_with("answers")).count(), 5);
}

#[tokio::test]
async fn a_refused_password_is_not_tried_twice() {
    let manners = Manners {
        password: true,
        rounds: prompts(&[&[("Password: ", false)]]),
        expects: vec!["other".into()],
        ..Manners::default()
    };
    let (result, heard) = log_in(manners, PASSWORD).await;
    assert!(
        matches!(&result, Err(DialError::Login(text)) if text.contains("refused the password for `admin`")),
        "{result:?}"
    );
    assert_eq!(heard, ["password admin s3"]);
}

#[tokio::test]
async fn secrets_that_cannot_be_used() {
    for (credential, expected) in [
        ("{ kind = \"password\", secret = \"absent\" }", "there is no secret `absent`"),
        ("{ kind = \"password\", secret = \"binary\" }", "is not text"),
        ("{ kind = \"key\", secret = \"pw\" }", "not a private key"),
        ("{ kind = \"key\", secret = \"absent\" }", "there is no secret"),
    ] {
        let (result, heard) = log_in(Manners { password: true, ..Manners::default() }, credential).await;
        let Err(DialError::Credential(text)) = &result else { panic!("{result:?}") };
        assert!(text.contains(expected) && heard.is_empty(), "{text} {heard:?}");
    }
}

#[tokio::test]
async fn an_element_that_lets_anybody_in_is_refused() {
    let key = "{ kind = \"key\", secret = \"key\" }";
    let listed = "{ kind = \"password\", secret = \"pw\", prompts = [{ matches = \"pin:\" }] }";
    for credential in [PASSWORD, listed, key, CERTIFICATE] {
        let (result, heard) = log_in(Manners { lets_in: true, password: true, ..Manners::default() }, credential).await;
        assert!(matches!(&result, Err(DialError::Login(text)) if text.contains("anybody")), "{credential}: {result:?}");
        assert!(heard.is_empty(), "{credential}: it was shown {heard:?}");
    }
}

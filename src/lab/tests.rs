//! Routers over SSH with a real client: logins, shells, commands, and faults.

use std::sync::Arc;

use russh::client::{self, Handle};
use russh::keys::PrivateKeyWithHashAlg;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::{PrivateKey, private::Ed25519Keypair};
use russh::{Channel, ChannelMsg};

use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn config(fault: Fault) -> RouterConfig {
    let mut config = RouterConfig::new("core-rtr-1", ([127, 0, 0, 1], 0).into(), key(1).public_key().clone());
    config.passwords.insert("oper".to_owned(), "secret".to_owned());
    config.privileged.push("admin".to_owned());
    config.fault = fault;
    config
}

struct Client(PublicKey);

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(
            matches!(presented, russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()),
        )
    }
}

async fn connect(router: &RunningRouter) -> Handle<Client> {
    client::connect(Arc::default(), router.addr(), Client(router.host_key().clone())).await.unwrap()
}

async fn log_in(router: &RunningRouter) -> Handle<Client> {
    let mut handle = connect(router).await;
    assert!(with_certificate(&mut handle, 1, "admin", "admin").await);
    handle
}

/// Logs in as `account` with a certificate for `principal` signed by authority `signer`.
async fn with_certificate(handle: &mut Handle<Client>, signer: u8, principal: &str, account: &str) -> bool {
    let subject = key(9);
    let from = u64::try_from(now().as_secs()).unwrap() - 60;
    let mut builder = Builder::new(vec![7; 16], subject.public_key().key_data().clone(), from, from + 3_600).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.key_id("spiffe://lab.example/user/ada#1").unwrap();
    builder.valid_principal(principal).unwrap();
    builder.extension("permit-pty", "").unwrap();
    let certificate = builder.sign(&key(signer)).unwrap();
    handle.authenticate_openssh_cert(account, Arc::new(subject), certificate).await.unwrap().success()
}

async fn read_until(channel: &mut Channel<client::Msg>, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => read.push_str(&String::from_utf8_lossy(&data)),
            Some(_) => {}
            None => panic!("ended before {text:?}: {read}"),
        }
    }
    read
}

async fn read_to_end(channel: &mut Channel<client::Msg>) -> (String, Option<u32>) {
    let (mut read, mut status) = (String::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => read.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    (read, status)
}

async fn exec(handle: &Handle<Client>, line: &str) -> (String, Option<u32>) {
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, line).await.unwrap();
    read_to_end(&mut channel).await
}

async fn shell(handle: &Handle<Client>) -> Channel<client::Msg> {
    let channel = handle.channel_open_session().await.unwrap();
    channel.request_pty(true, "vt100", 80, 24, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    channel
}

#[tokio::test]
async fn who_gets_in() {
    let router = Router::start(config(Fault::None)).await.unwrap();
    for (signer, principal, account, accepted) in [
        (1, "admin", "admin", true),
        (2, "admin", "admin", false),
        (1, "admin", "root", false),
        (1, "oper", "admin", false),
    ] {
        let mut handle = connect(&router).await;
        assert_eq!(
            with_certificate(&mut handle, signer, principal, account).await,
            accepted,
            "{signer} {principal} {account}"
        );
    }
    for (account, password, accepted) in
        [("oper", "secret", true), ("oper", "", false), ("admin", "secret", false), ("nobody", "secret", false)]
    {
        let mut handle = connect(&router).await;
        assert_eq!(
            handle.authenticate_password(account, password).await.unwrap().success(),
            accepted,
            "{account} {password}"
        );
    }
    let mut handle = connect(&router).await;
    let bare = PrivateKeyWithHashAlg::new(Arc::new(key(9)), None);
    assert!(!handle.authenticate_publickey("admin", bare).await.unwrap().success());
    assert!(!handle.authenticate_none("admin").await.unwrap().success());
    router.stop().await;
}

#[tokio::test]
async fn commands_end_with_their_status() {
    let router = Router::start(config(Fault::None)).await.unwrap();
    let handle = log_in(&router).await;
    let (text, status) = exec(&handle, "show users").await;
    assert!(text.contains("spiffe://lab.example/user/ada#1"), "{text}");
    assert_eq!(status, Some(0));
    let (text, status) = exec(&handle, "show nothing").await;
    assert!(text.contains("% Invalid input"), "{text}");
    assert_eq!(status, Some(1));
    router.stop().await;
}

#[tokio::test]
async fn a_shell_configures_the_router_that_others_see() {
    let router = Router::start(config(Fault::None)).await.unwrap();
    let handle = log_in(&router).await;
    let mut channel = shell(&handle).await;
    read_until(&mut channel, "core-rtr-1#").await;
    channel.data_bytes(&b"conf t\rhostname edge-9\rend\r"[..]).await.unwrap();
    read_until(&mut channel, "edge-9#").await;
    channel.window_change(80, 4, 0, 0).await.unwrap();
    channel.data_bytes(&b"show running-config\r"[..]).await.unwrap();
    read_until(&mut channel, "--More--").await;
    assert!(exec(&handle, "show running-config").await.0.contains("hostname edge-9"));
    channel.data_bytes(&b"qexit\r"[..]).await.unwrap();
    assert_eq!(read_to_end(&mut channel).await.1, Some(0));
    router.stop().await;
}

#[tokio::test]
async fn what_is_not_offered() {
    let router = Router::start(config(Fault::None)).await.unwrap();
    let handle = log_in(&router).await;
    assert!(handle.channel_open_direct_tcpip("192.0.2.1", 22, "127.0.0.1", 1).await.is_err());
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    router.stop().await;
}

#[tokio::test]
async fn faults() {
    let router = Router::start(config(Fault::CloseAfter(10))).await.unwrap();
    let (text, status) = exec(&log_in(&router).await, "show version").await;
    assert_eq!((text.len(), status), (10, None));
    router.stop().await;

    let router = Router::start(config(Fault::FloodOutput)).await.unwrap();
    let handle = log_in(&router).await;
    let mut channel = shell(&handle).await;
    let mut taken = 0;
    while taken < 8 << 20 {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => taken += data.len(),
            Some(_) => {}
            None => panic!("ended after {taken} bytes"),
        }
    }
    router.stop().await;

    let router = Router::start(config(Fault::StallOutput)).await.unwrap();
    let handle = log_in(&router).await;
    let mut channel = shell(&handle).await;
    read_until(&mut channel, "core-rtr-1#").await;
    channel.data_bytes(&b"show clock\r"[..]).await.unwrap();
    // Nothing more comes until the router goes.
    let (end, ()) = tokio::join!(read_to_end(&mut channel), router.stop());
    assert_eq!(end, (String::new(), None));

    let router = Router::start(config(Fault::NeverAnswerShell)).await.unwrap();
    let handle = log_in(&router).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_shell(true).await.unwrap();
    let answer = async {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success | ChannelMsg::Failure | ChannelMsg::Data { .. }) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    };
    let (answered, ()) = tokio::join!(answer, router.stop());
    assert!(!answered);

    let router = Router::start(config(Fault::SlowBanner)).await.unwrap();
    let mut stream = TcpStream::connect(router.addr()).await.unwrap();
    let mut first = [0; 1];
    let (read, ()) = tokio::join!(tokio::io::AsyncReadExt::read(&mut stream, &mut first), router.stop());
    assert!(matches!(read, Ok(0) | Err(_)));
}

//! Logging in on an element whose host key was checked: one credential, no guessing, a bounded dialogue.

use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer, Prompt};
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg};
use russh::{MethodKind, MethodSet};
use zeroize::Zeroizing;

use super::handler::Handler;
use crate::domain::Account;
use crate::element::credential::{Credential, PromptRule, SecretName, secret_for};
use crate::element::secrets::Secrets;
use crate::element::{Config, DialError, LinkSink};
use crate::identity::issue::Minted;

const ROUNDS_MAX: usize = 5;
const PROMPTS_MAX: usize = 8;

/// Logs in as `account`.
///
/// # Errors
/// The element refuses the credential or asks for something unforeseen, or a stored secret cannot be used.
pub(super) async fn login<S: LinkSink>(
    handle: &mut Handle<Handler<S>>,
    config: &Config,
    credential: &Credential,
    account: &Account,
    minted: &Minted,
) -> Result<(), DialError> {
    let methods = methods(handle, account).await?;
    match credential {
        Credential::Certificate => {
            let key = Arc::new(minted.key.clone());
            let result = handle.authenticate_openssh_cert(account.as_str(), key, minted.certificate.clone()).await;
            done("certificate", account, result)
        }
        Credential::Key { secret } => {
            let key = stored_key(config, secret).await?;
            let result =
                handle.authenticate_publickey(account.as_str(), PrivateKeyWithHashAlg::new(Arc::new(key), None)).await;
            done("key", account, result)
        }
        Credential::Password { secret, prompts } => {
            with_password(handle, config, account, secret, prompts, &methods).await
        }
    }
}

/// The ways in that the element has, for whom it does not know yet.
///
/// SECURITY: asked first, as every client does. An element that lets anybody in shows that here, whatever the credential; and a password that is
/// wrong is wrong once, and does not bring a lock-out nearer by a second try in another method.
async fn methods<S: LinkSink>(handle: &mut Handle<Handler<S>>, account: &Account) -> Result<MethodSet, DialError> {
    match handle.authenticate_none(account.as_str()).await.map_err(|error| broken(&error))? {
        AuthResult::Failure { remaining_methods, .. } => Ok(remaining_methods),
        AuthResult::Success => Err(DialError::Login(format!(
            "it lets anybody in as `{account}` without a credential; mend that on the element"
        ))),
    }
}

async fn with_password<S: LinkSink>(
    handle: &mut Handle<Handler<S>>,
    config: &Config,
    account: &Account,
    secret: &SecretName,
    prompts: &[PromptRule],
    methods: &MethodSet,
) -> Result<(), DialError> {
    // An inventory that lists prompts describes a dialogue.
    if !prompts.is_empty() {
        return dialogue(handle, config, account, secret, prompts).await;
    }
    if !methods.contains(&MethodKind::Password) {
        return dialogue(handle, config, account, secret, prompts).await;
    }
    let password = text_secret(config, secret).await?;
    match handle.authenticate_password(account.as_str(), password.as_str()).await.map_err(|error| broken(&error))? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { remaining_methods, partial_success: true }
            if remaining_methods.contains(&MethodKind::KeyboardInteractive) =>
        {
            dialogue(handle, config, account, secret, prompts).await
        }
        AuthResult::Failure { remaining_methods, partial_success } => {
            Err(refused("password", account, &remaining_methods, partial_success))
        }
    }
}

async fn dialogue<S: LinkSink>(
    handle: &mut Handle<Handler<S>>,
    config: &Config,
    account: &Account,
    secret: &SecretName,
    rules: &[PromptRule],
) -> Result<(), DialError> {
    let mut answer = handle.authenticate_keyboard_interactive_start(account.as_str(), None).await;
    for _ in 0..ROUNDS_MAX {
        let prompts = match answer.map_err(|error| broken(&error))? {
            Answer::Success => return Ok(()),
            Answer::Failure { remaining_methods, partial_success } => {
                return Err(refused("password", account, &remaining_methods, partial_success));
            }
            Answer::InfoRequest { prompts, .. } => prompts,
        };
        let answers = answers(config, secret, rules, &prompts).await?;
        answer = handle.authenticate_keyboard_interactive_respond(answers).await;
    }
    match answer.map_err(|error| broken(&error))? {
        Answer::Success => Ok(()),
        _ => Err(DialError::Login(format!("it asked more than {ROUNDS_MAX} times"))),
    }
}

/// All prompts of a round have an answer or none is given.
async fn answers(
    config: &Config,
    secret: &SecretName,
    rules: &[PromptRule],
    prompts: &[Prompt],
) -> Result<Vec<String>, DialError> {
    if prompts.len() > PROMPTS_MAX {
        return Err(DialError::Login(format!("it asked {} questions at once", prompts.len())));
    }
    let names: Result<Vec<&SecretName>, String> =
        prompts.iter().map(|asked| secret_for(secret, rules, &asked.prompt, asked.echo)).collect();
    let mut answers = Vec::with_capacity(prompts.len());
    for name in names.map_err(DialError::Login)? {
        answers.push(text_secret(config, name).await?.to_string());
    }
    Ok(answers)
}

async fn read_secret(config: &Config, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, DialError> {
    let (dir, key_file, name) = (config.secrets_dir.clone(), config.secrets_key_file.clone(), name.clone());
    tokio::task::spawn_blocking(move || Secrets::open(&dir, &key_file)?.read(&name))
        .await
        .map_err(|error| DialError::Credential(error.to_string()))?
        .map_err(|error| DialError::Credential(error.to_string()))
}

async fn text_secret(config: &Config, name: &SecretName) -> Result<Zeroizing<String>, DialError> {
    let bytes = read_secret(config, name).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| DialError::Credential(format!("the secret `{name}` is not text")))?;
    Ok(Zeroizing::new(text.to_owned()))
}

async fn stored_key(config: &Config, name: &SecretName) -> Result<PrivateKey, DialError> {
    let bytes = read_secret(config, name).await?;
    let key = PrivateKey::from_openssh(bytes.as_slice())
        .map_err(|_| DialError::Credential(format!("the secret `{name}` is not a private key in OpenSSH's format")))?;
    if key.is_encrypted() {
        return Err(DialError::Credential(format!(
            "the key `{name}` has a passphrase; store it without, it is sealed here"
        )));
    }
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        // SECURITY: RUSTSEC-2023-0071, the RSA code leaks private keys through timing and has no fix.
        other => {
            Err(DialError::Credential(format!("the key `{name}` is {other}; only Ed25519 and ECDSA keys are used")))
        }
    }
}

fn done(what: &str, account: &Account, result: Result<AuthResult, russh::Error>) -> Result<(), DialError> {
    match result.map_err(|error| broken(&error))? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { remaining_methods, partial_success } => {
            Err(refused(what, account, &remaining_methods, partial_success))
        }
    }
}

fn refused(what: &str, account: &Account, remaining: &MethodSet, partial: bool) -> DialError {
    let others: Vec<&'static str> = remaining.iter().map(Into::into).collect();
    let others = if others.is_empty() { "nothing else".to_owned() } else { others.join(", ") };
    if partial {
        DialError::Login(format!("it took the {what} for `{account}` and asks for another factor: {others}"))
    } else {
        DialError::Login(format!("it refused the {what} for `{account}`; it takes {others}"))
    }
}

fn broken(error: &russh::Error) -> DialError {
    DialError::Login(format!("the connection broke during the login: {error}"))
}

//! What to type in another terminal.

use std::path::Path;

use super::site::DOMAIN;

/// How this program was called, for the lines to copy.
pub(super) fn program() -> String {
    std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "sallyport".to_owned())
}

/// The tour, with commands that can be copied as they are.
pub(super) fn text(dir: &Path, program: &str) -> String {
    let dir_text = quoted(&dir.display().to_string());
    let program = quoted(program);
    let ssh = |identity: &str| format!("ssh -F {dir_text}/identities/{identity}/ssh_config");
    let asking =
        |identity: &str| format!("--config {dir_text}/sallyport.toml --identity {dir_text}/identities/{identity}");
    format!(
        "
Sallyport is running on loopback. Type these in another terminal, in this folder.

A network engineer
  a session on a router           {noc} core-rtr-1
  one command                     {noc} core-rtr-1 show ip interface brief
  a change, by a senior engineer  {senior} core-rtr-2
  a command that policy denies    {noc} core-rtr-1 'show running-config | redirect tftp://192.0.2.9/x'
  nobody without a role gets in   {outsider} core-rtr-1

The same engineers by the management plane; each change is a description, or an account that nobody may make
  NETCONF, looking                {noc} -s core-rtr-1 netconf < {dir_text}/requests/interfaces.xml
  NETCONF, a change               {senior} -s core-rtr-1 netconf < {dir_text}/requests/description.xml
  NETCONF, denied                 {senior} -s core-rtr-1 netconf < {dir_text}/requests/account.xml
  RESTCONF, a change              {curl} {restconf}/openconfig-interfaces:interfaces/interface=Loopback0/config -X PATCH -d '{description}'
  RESTCONF, denied                {curl} {restconf}/openconfig-system:system/aaa/authentication/users -X POST -d '{account}'
  gNMI, following                 {program} gnmi subscribe core-rtr-1 '/interfaces/interface[name=Loopback0]' --mode once --identity {dir_text}/identities/noc-engineer
  gNMI, a change                  {gnmi_set} '/interfaces/interface[name=Loopback0]/config/description=changed by gNMI'
  gNMI, denied                    {gnmi_set} '/system/aaa/authentication/users/user[username=backdoor]/config/role=SYSTEM_ROLE_ADMIN'

An auditor
  what happened                   {program} sessions list {auditor}
  watch one again, by its ID      {program} replay ID {auditor}
  prove that nothing was changed  {program} verify {dir_text}/data/recordings {dir_text}/data/audit

The security team
  who may do what                 {dir_text}/policies/policy.csv    edit it: live sessions obey within a second
  test it before it is in force   {program} policy test --policies {dir_text}/policies
",
        noc = ssh("noc-engineer"),
        senior = ssh("senior-engineer"),
        outsider = ssh("outsider"),
        auditor = asking("auditor"),
        curl = format_args!("curl -K {dir_text}/identities/senior-engineer/curl_config"),
        gnmi_set = format_args!(
            "{program} gnmi set core-rtr-1 --identity {dir_text}/identities/senior-engineer --update"
        ),
        restconf = format_args!("https://core-rtr-1.{DOMAIN}/restconf/data"),
        description = r#"{"openconfig-interfaces:config": {"description": "changed by RESTCONF"}}"#,
        account = r#"{"openconfig-system:user": [{"username": "backdoor", "config": {"role": "SYSTEM_ROLE_ADMIN"}}]}"#,
    )
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for (text, word) in
            [("a/b-1.c", "a/b-1.c"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'"), ("", "''")]
        {
            assert_eq!(quoted(text), word);
        }
    }
}

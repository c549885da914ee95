//! One element: what the inventory says of it, typed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::document::{Report, Row};
use super::services::{self, Services};
use crate::domain::{Account, ElementName};
use crate::element::credential::{Credential, PromptRule, SecretName};
use crate::element::crypto::Profile;
use crate::element::host_key::{HostTrust, parse_public_key};
use crate::element::{Service, TlsCredential, TlsService};
use crate::policy::ElementTags;

/// The protocols the gateway may speak to an element.
const PROTOCOLS: &[&str] = &["ssh", "netconf", "restconf", "https", "gnmi", "tacacs"];
const SESSIONS_DEFAULT: usize = 16;
const DIALS_DEFAULT: usize = 8;

/// Where an element listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// An IP address or a host name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("`{}` is not an address; write host:port, 192.0.2.1:22 or [2001:db8::1]:22", text.escape_debug())
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|p| *p != 0 && port.bytes().all(|b| b.is_ascii_digit())).ok_or_else(bad)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?.to_string(),
            None => host.to_ascii_lowercase(),
        };
        let name = |h: &str| {
            h.len() <= 253
                && h.split('.').all(|l| {
                    !l.is_empty()
                        && !l.starts_with('-')
                        && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                })
        };
        if host.parse::<std::net::IpAddr>().is_ok() || name(&host) { Ok(Self { host, port }) } else { Err(bad()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What an element is and where it stands; policy sees these as groups.
#[derive(Debug, Clone, Default)]
struct Place {
    platform: Option<String>,
    class: Option<String>,
    vendor: Option<String>,
    site: Option<String>,
    groups: Vec<String>,
}

/// One element of the core network.
#[derive(Debug)]
pub struct Element {
    name: ElementName,
    line: u32,
    addresses: Vec<Address>,
    place: Place,
    accounts: Vec<Account>,
    default_account: Account,
    host_trust: Arc<HostTrust>,
    credential: Credential,
    crypto: Option<Arc<Profile>>,
    protocols: Vec<String>,
    services: Services,
    sessions_max: usize,
    dials_max: usize,
    dialling: Semaphore,
}

impl Element {
    /// Its name.
    pub fn name(&self) -> &ElementName {
        &self.name
    }

    /// Where it stands in `elements.toml`.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Where it listens; tried in order.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Its platform, such as `ios`.
    pub fn platform(&self) -> Option<&str> {
        self.place.platform.as_deref()
    }

    /// Its class, such as `core-router`.
    pub fn class(&self) -> Option<&str> {
        self.place.class.as_deref()
    }

    /// Its vendor.
    pub fn vendor(&self) -> Option<&str> {
        self.place.vendor.as_deref()
    }

    /// Its site.
    pub fn site(&self) -> Option<&str> {
        self.place.site.as_deref()
    }

    /// What policy needs of it: `class/…`, `platform/…`, `site/…`, `vendor/…` and its own groups.
    pub fn tags(&self) -> ElementTags {
        let place = &self.place;
        let named =
            [("class", &place.class), ("platform", &place.platform), ("site", &place.site), ("vendor", &place.vendor)];
        let mut groups: Vec<String> =
            named.iter().filter_map(|(kind, value)| Some(format!("{kind}/{}", value.as_ref()?))).collect();
        groups.extend(place.groups.iter().cloned());
        ElementTags { name: self.name.clone(), groups }
    }

    /// The addresses of everything it offers.
    pub fn every_address(&self) -> impl Iterator<Item = &Address> {
        let services = self.services.tls.values().flat_map(|service| &service.addresses);
        self.addresses.iter().chain(&self.services.netconf_ssh).chain(services)
    }

    /// The account used when the client names none.
    pub fn default_account(&self) -> &Account {
        &self.default_account
    }

    /// Whether this account may be asked for at all; policy still decides.
    pub fn allows_account(&self, account: &Account) -> bool {
        self.accounts.contains(account)
    }

    /// Every account that may be asked for, the default first.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Sessions it takes at once.
    pub fn sessions_max(&self) -> usize {
        self.sessions_max
    }

    /// Dials to it that may be under way at once; `dial` keeps to it.
    pub fn dials_max(&self) -> usize {
        self.dials_max
    }

    /// The protocols it is reached by.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// Whether it is reached by this protocol.
    pub fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|listed| listed == protocol)
    }

    /// How a service over TLS is reached, when it has one.
    pub fn service(&self, service: Service) -> Option<&Arc<TlsService>> {
        self.services.tls.get(&service)
    }

    /// Where its NETCONF server listens as a subsystem of SSH; `addresses` when it has none of its own.
    pub fn netconf_ssh(&self) -> &[Address] {
        if self.services.netconf_ssh.is_empty() { &self.addresses } else { &self.services.netconf_ssh }
    }

    /// How the gateway logs in.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The names of the stored secrets that dialling it takes.
    pub fn secrets(&self) -> Vec<&SecretName> {
        let mut names = match &self.credential {
            Credential::Certificate => Vec::new(),
            Credential::Key { secret } => vec![secret],
            Credential::Password { secret, prompts } => {
                std::iter::once(secret).chain(prompts.iter().map(|prompt| &prompt.secret)).collect()
            }
        };
        names.extend(self.services.tls.values().filter_map(|service| match &service.credential {
            TlsCredential::Basic { secret } | TlsCredential::Bearer { secret } => Some(secret),
            TlsCredential::Certificate => None,
        }));
        names.sort();
        names.dedup();
        names
    }

    /// What its host key is checked against.
    pub fn host_trust(&self) -> &Arc<HostTrust> {
        &self.host_trust
    }

    /// Its crypto profile, when the strict set is not enough.
    pub fn crypto(&self) -> Option<&Profile> {
        self.crypto.as_deref()
    }

    /// Holds back more than `dials_max` dials.
    pub(in crate::element) fn dialling(&self) -> &Semaphore {
        &self.dialling
    }
}

/// Reads one `[[element]]`; none when something it cannot be without is wrong. Every mistake is in `report`.
pub(super) fn read(mut row: Row<'_>, profiles: &[Arc<Profile>], report: &mut Report) -> Option<Element> {
    let line = report.line(&row.span);
    let name = read_name(&mut row, report);
    let addresses = read_addresses(&mut row, report);
    let place = read_place(&mut row, report);
    let accounts = read_accounts(&mut row, report);
    let host_trust = read_host_trust(&mut row, report);
    let credential = read_credential(&mut row, report);
    let crypto = read_crypto(&mut row, profiles, report);
    let protocols = read_protocols(&mut row, report);
    let services = services::read(&mut row, profiles, report);
    missing_services(&row, &protocols, &services, report);
    let sessions_max = row.number("sessions_max", SESSIONS_DEFAULT, 1..10_001, report);
    let dials_max = row.number("dials_max", DIALS_DEFAULT, 1..1_001, report);
    row.finish(report);
    Some(Element {
        name: name?,
        line,
        addresses,
        place,
        default_account: accounts.first()?.clone(),
        accounts,
        host_trust: Arc::new(host_trust),
        credential: credential?,
        crypto,
        protocols,
        services,
        sessions_max,
        dials_max,
        dialling: Semaphore::new(dials_max),
    })
}

fn read_name(row: &mut Row<'_>, report: &mut Report) -> Option<ElementName> {
    let text = row.required("name", "the name people use, such as core-rtr-1", report)?;
    let name: ElementName = text.parse(report)?;
    if name == ElementName::gateway() {
        report.add(&text.span, "`gateway` is the gateway's own name; give the element another");
        return None;
    }
    Some(name)
}

fn read_addresses(row: &mut Row<'_>, report: &mut Report) -> Vec<Address> {
    let texts = row.texts("addresses", report);
    if texts.is_empty() {
        report.add(&row.span, "`addresses` is missing or empty; write [\"host:port\"]");
    }
    texts.iter().filter_map(|text| text.parse(report)).collect()
}

fn read_place(row: &mut Row<'_>, report: &mut Report) -> Place {
    let mut word = |key, report: &mut Report| {
        let text = row.text(key, report)?;
        tag(text.value).map_err(|error| report.add(&text.span, error)).ok()
    };
    let (platform, class) = (word("platform", report), word("class", report));
    let (vendor, site) = (word("vendor", report), word("site", report));
    let mut groups = Vec::new();
    for text in row.texts("groups", report) {
        match tag(text.value) {
            Ok(group) if groups.contains(&group) => {
                report.add(&text.span, format!("the group `{group}` is listed twice"))
            }
            Ok(group) => groups.push(group),
            Err(error) => report.add(&text.span, error),
        }
    }
    Place { platform, class, vendor, site, groups }
}

fn read_accounts(row: &mut Row<'_>, report: &mut Report) -> Vec<Account> {
    let default = row.required("account", "the account used when the client names none", report);
    let mut accounts: Vec<Account> = default.and_then(|text| text.parse(report)).into_iter().collect();
    let has_default = !accounts.is_empty();
    for text in row.texts("accounts", report) {
        if let Some(account) = text.parse::<Account>(report)
            && !accounts.contains(&account)
            && has_default
        {
            accounts.push(account);
        }
    }
    accounts
}

fn read_host_trust(row: &mut Row<'_>, report: &mut Report) -> HostTrust {
    let pinned = row.texts("host_keys", report);
    let authorities = row.texts("host_ca", report);
    let principals = row.texts("host_principals", report);
    if pinned.is_empty() && authorities.is_empty() {
        report.add(&row.span, "neither `host_keys` nor `host_ca` is there, so this element could never be told from an impostor; `sallyport elements scan` proposes keys, pin one that you have compared");
    }
    if let (Some(first), true) = (principals.first(), authorities.is_empty()) {
        report.add(&first.span, "`host_principals` means nothing without `host_ca`");
    }
    HostTrust {
        pinned: pinned.iter().filter_map(|text| text.parse(report)).collect(),
        authorities: authorities
            .iter()
            .filter_map(|text| parse_public_key(text.value).map_err(|error| report.add(&text.span, error)).ok())
            .map(|key| key.fingerprint(ssh_key::HashAlg::Sha256))
            .collect(),
        principals: principals.iter().map(|text| text.value.to_owned()).collect(),
    }
}

fn read_credential(row: &mut Row<'_>, report: &mut Report) -> Option<Credential> {
    let Some(mut table) = row.row("credential", report) else {
        report.add(
            &row.span,
            "`credential` is missing; write { kind = \"certificate\" }, or key or password with a secret",
        );
        return None;
    };
    let kind = table.required("kind", "certificate, key or password", report);
    let credential = kind.and_then(|kind| match kind.value {
        "certificate" => Some(Credential::Certificate),
        "key" => Some(Credential::Key { secret: read_secret(&mut table, report)? }),
        "password" => {
            let secret = read_secret(&mut table, report);
            let prompts = read_prompts(&mut table, secret.as_ref(), report);
            Some(Credential::Password { secret: secret?, prompts })
        }
        other => {
            report.add(
                &kind.span,
                format!("`{}` is not a kind of credential; use certificate, key or password", other.escape_debug()),
            );
            None
        }
    });
    if credential.is_some() {
        table.finish(report);
    }
    credential
}

fn read_secret(table: &mut Row<'_>, report: &mut Report) -> Option<SecretName> {
    table.required("secret", "the name under which `sallyport secrets set` stored it", report)?.parse(report)
}

fn read_prompts(table: &mut Row<'_>, default: Option<&SecretName>, report: &mut Report) -> Vec<PromptRule> {
    let mut rules = Vec::new();
    for mut row in table.rows("prompts", report) {
        let pattern =
            row.required("matches", "a pattern such as \"*assword:*\"", report).and_then(|text| text.parse(report));
        let secret = match row.text("secret", report) {
            Some(text) => text.parse(report),
            None => default.cloned(),
        };
        let echo = row.flag("echo", report);
        row.finish(report);
        if let (Some(matches), Some(secret)) = (pattern, secret) {
            rules.push(PromptRule { matches, secret, echo });
        }
    }
    rules
}

fn read_crypto(row: &mut Row<'_>, profiles: &[Arc<Profile>], report: &mut Report) -> Option<Arc<Profile>> {
    let mut table = row.row("crypto", report)?;
    let text = table.required("profile", "the name of a [[crypto_profile]] of this file", report);
    table.finish(report);
    let text = text?;
    let found = profiles.iter().find(|profile| profile.name == text.value).cloned();
    if found.is_none() {
        report.add(
            &text.span,
            format!("there is no [[crypto_profile]] named `{}` in this file", text.value.escape_debug()),
        );
    }
    found
}

fn read_protocols(row: &mut Row<'_>, report: &mut Report) -> Vec<String> {
    let texts = row.texts("protocols", report);
    if texts.is_empty() {
        return vec!["ssh".to_owned()];
    }
    let mut protocols = Vec::new();
    for text in texts {
        if PROTOCOLS.contains(&text.value) {
            protocols.push(text.value.to_owned());
        } else {
            report.add(
                &text.span,
                format!("`{}` is not a protocol; known are: {}", text.value.escape_debug(), PROTOCOLS.join(", ")),
            );
        }
    }
    protocols
}

/// A protocol that nothing says how to reach.
fn missing_services(row: &Row<'_>, protocols: &[String], services: &Services, report: &mut Report) {
    for (protocol, service) in [("restconf", Service::Https), ("https", Service::Https), ("gnmi", Service::Gnmi)] {
        if protocols.iter().any(|known| known == protocol) && !services.tls.contains_key(&service) {
            report.add(&row.span, format!("`{protocol}` is among its protocols, and there is no [element.{service}]"));
        }
    }
    let restconf = protocols.iter().any(|known| known == "restconf");
    if restconf && services.tls.get(&Service::Https).is_some_and(|https| https.restconf.is_none()) {
        let text = "`restconf` is among its protocols, and [element.https] does not say where it begins; write restconf = \"/restconf\"";
        report.add(&row.span, text);
    }
}

/// A word that policy can name: lower-case letters, digits, '.', '-' and '_', parts joined by '/'.
fn tag(text: &str) -> Result<String, String> {
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
    };
    if text.len() <= 100 && text.split('/').all(part) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` cannot be a group; use lower-case letters, digits, '.', '-' and '_'", text.escape_debug()))
    }
}

//! The sections of an element for its services: `[element.https]`, `[element.gnmi]`, `[element.netconf]`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{Report, Row};
use super::element::Address;
use crate::element::credential::SecretName;
use crate::element::crypto::Profile;
use crate::element::{Service, TlsCredential, TlsService};

/// What an element offers.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Over TLS.
    pub(super) tls: BTreeMap<Service, Arc<TlsService>>,
    /// NETCONF as a subsystem of an SSH server at other addresses (RFC 6242 §2 names port 830).
    pub(super) netconf_ssh: Vec<Address>,
}

/// Reads every section that is there.
pub(super) fn read(row: &mut Row<'_>, profiles: &[Arc<Profile>], report: &mut Report) -> Services {
    let mut services = Services::default();
    for service in Service::ALL {
        let Some(mut section) = row.row(service.as_str(), report) else { continue };
        if service == Service::Netconf && over_ssh(&mut section, report) {
            services.netconf_ssh = addresses(&mut section, report);
        } else if let Some(read) = read_tls(service, &mut section, profiles, report) {
            services.tls.insert(service, Arc::new(read));
        }
        section.finish(report);
    }
    services
}

fn over_ssh(section: &mut Row<'_>, report: &mut Report) -> bool {
    match section.required("over", "ssh or tls", report) {
        Some(text) if text.value == "ssh" => true,
        Some(text) if text.value != "tls" => {
            report.add(&text.span, format!("`{}`: NETCONF goes over ssh or tls", text.value.escape_debug()));
            false
        }
        _ => false,
    }
}

fn addresses(section: &mut Row<'_>, report: &mut Report) -> Vec<Address> {
    let texts = section.texts("addresses", report);
    if texts.is_empty() {
        report.add(&section.span, "`addresses` is missing or empty; write [\"host:port\"]");
    }
    texts.iter().filter_map(|text| text.parse(report)).collect()
}

fn read_tls(
    service: Service,
    section: &mut Row<'_>,
    profiles: &[Arc<Profile>],
    report: &mut Report,
) -> Option<TlsService> {
    let addresses = addresses(section, report);
    let server_name = server_name(section, addresses.first(), report);
    let (authorities, pins) = (authorities(section, report), pins(section, report));
    if authorities.is_empty() && pins.is_empty() {
        report.add(
            &section.span,
            "neither `ca` nor `pins` is there, so this service could never be told from an impostor; write the PEM text of its authority, or pin its certificate",
        );
    }
    let credential = credential(section, report);
    let tls12 = tls12(section, profiles, report);
    let web = service == Service::Https;
    let restconf = if web { section.text("restconf", report) } else { None };
    let restconf = restconf.and_then(|text| {
        let fits = text.value.starts_with('/') && !text.value.ends_with('/') && !text.value.contains("..");
        if !fits {
            report.add(&text.span, "`restconf` is the path where it begins, such as \"/restconf\"");
        }
        fits.then(|| text.value.to_owned())
    });
    let api = if web { section.text("api", report) } else { None };
    let api = api.and_then(|text| {
        let fits = !text.value.starts_with('/') && !text.value.contains("..") && text.value.ends_with(".json");
        if !fits {
            report.add(&text.span, "`api` is an OpenAPI document in the policy folder, such as \"apis/hss.json\"");
        }
        fits.then(|| text.value.to_owned())
    });
    Some(TlsService {
        addresses,
        server_name: server_name?,
        authorities,
        pins,
        credential: credential?,
        tls12,
        restconf,
        api,
    })
}

fn server_name(section: &mut Row<'_>, first: Option<&Address>, report: &mut Report) -> Option<ServerName<'static>> {
    let (name, span) = match section.text("server_name", report) {
        Some(text) => (text.value.to_owned(), text.span),
        None => (first?.host.clone(), section.span.clone()),
    };
    ServerName::try_from(name.clone())
        .map_err(|_| report.add(&span, format!("`{}` is not a name that a certificate can have", name.escape_debug())))
        .ok()
}

fn authorities(section: &mut Row<'_>, report: &mut Report) -> Vec<CertificateDer<'static>> {
    let mut found = Vec::new();
    for text in section.texts("ca", report) {
        let read = CertificateDer::pem_slice_iter(text.value.as_bytes()).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(certificates) if !certificates.is_empty() => found.extend(certificates),
            _ => report.add(&text.span, "`ca` holds the PEM text of certificates: -----BEGIN CERTIFICATE-----"),
        }
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &found {
        if let Err(error) = roots.add(certificate.clone()) {
            report.add(
                &section.span,
                format!("a certificate in `ca` cannot be an authority: {error}; if it is the element's own, pin it"),
            );
        }
    }
    found
}

fn pins(section: &mut Row<'_>, report: &mut Report) -> Vec<[u8; 32]> {
    let mut found = Vec::new();
    for text in section.texts("pins", report) {
        let digits = text.value.strip_prefix("SHA256:").map(|hex| hex.replace(':', "").to_ascii_lowercase());
        let bytes = digits.and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok());
        match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            Some(pin) => found.push(pin),
            None => report.add(
                &text.span,
                "a pin is SHA256: and the certificate's fingerprint in hexadecimal, as `openssl x509 -fingerprint -sha256` prints it",
            ),
        }
    }
    found
}

fn credential(section: &mut Row<'_>, report: &mut Report) -> Option<TlsCredential> {
    let Some(mut table) = section.row("credential", report) else { return Some(TlsCredential::Certificate) };
    let kind = table.required("kind", "certificate, basic or bearer", report)?;
    let mut secret = |report: &mut Report| -> Option<SecretName> {
        table.required("secret", "the name under which `sallyport secrets set` stored it", report)?.parse(report)
    };
    let credential = match kind.value {
        "certificate" => TlsCredential::Certificate,
        "basic" => TlsCredential::Basic { secret: secret(report)? },
        "bearer" => TlsCredential::Bearer { secret: secret(report)? },
        other => {
            let text =
                format!("`{}` is not a kind of credential; use certificate, basic or bearer", other.escape_debug());
            report.add(&kind.span, text);
            return None;
        }
    };
    table.finish(report);
    Some(credential)
}

/// TLS 1.2 is spoken only by a crypto profile, which has a reason, an owner and a last day.
fn tls12(section: &mut Row<'_>, profiles: &[Arc<Profile>], report: &mut Report) -> Option<Arc<Profile>> {
    let text = section.text("tls12_profile", report)?;
    let found = profiles.iter().find(|profile| profile.name == text.value).cloned();
    if found.is_none() {
        let text_ = format!("there is no [[crypto_profile]] named `{}` in this file", text.value.escape_debug());
        report.add(&text.span, text_);
    }
    found
}

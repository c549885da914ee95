//! What must hold of any bytes that reach a decoder: a function for each, which panics where it does not.
//!
//! The functions stand beside the decoders that they call, in files named `fuzz.rs`. `make fuzz` runs each under libFuzzer (`fuzz/`). Every test
//! run, on any toolchain, runs each over its corpus in `tests/corpus/NAME/` and over a bounded number of mutations of it, always the same ones.

#[cfg(test)]
mod mutate;

macro_rules! targets {
    ($($name:ident = $body:path, $about:literal;)*) => {
        $(
            #[doc = $about]
            pub fn $name(data: &[u8]) {
                $body(data);
            }
        )*

        /// Every target by its name, which is also that of its corpus and of its libFuzzer program.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name)),*];

        #[cfg(test)]
        mod bounded {
            $(
                #[test]
                fn $name() {
                    super::mutate::drive(stringify!($name), super::$name);
                }
            )*
        }
    };
}

targets! {
    api_body = crate::console::fuzz::api_body, "Bodies of the JSON API.";
    api_document = crate::domain::api::fuzz::api_document, "OpenAPI documents.";
    api_request = crate::domain::api::fuzz::api_request, "Requests of an API: a method, a path and a query, each before a line end, then a body.";
    audit_line = crate::audit::fuzz::audit_line, "Lines of the audit log, and checkpoints.";
    command_classes = crate::policy::fuzz::command_classes, "Files of `commands/`.";
    config_toml = crate::config::fuzz::config_toml, "`sallyport.toml`.";
    critical_option = crate::identity::fuzz::critical_option, "Critical options of SSH user certificates: a name, a line end, a value.";
    domain_text = crate::domain::fuzz::domain_text, "Names, URIs, times and spans in their text forms.";
    echo = crate::protocol::ssh::fuzz::echo, "A terminal and somebody who types: steps as for `sftp`.";
    elements_toml = crate::element::fuzz::elements_toml, "`elements.toml`, and pinning a key in it.";
    gnmi_framing = crate::protocol::gnmi::fuzz::framing, "gRPC messages in a body that comes in pieces: the size of a piece, then the body.";
    gnmi_path = crate::protocol::gnmi::fuzz::path, "A gNMI path below a prefix: both as messages, a zero between them.";
    gnmi_request = crate::protocol::gnmi::fuzz::request, "Requests of gNMI and gNOI: a method, a line end, a message.";
    http_framing = crate::protocol::web::fuzz::http_framing, "Requests of HTTP/1.1, one after the other.";
    http_path = crate::protocol::web::fuzz::http_path, "Paths of requests, and queries after a line end.";
    host_key = crate::element::fuzz::host_key, "Pinned host keys.";
    json_data = crate::domain::fuzz::json_data, "Data in JSON.";
    json_mask = crate::domain::api::fuzz::json_mask, "Answers that are masked: a pointer, a line end, then JSON.";
    netconf_framing = crate::protocol::netconf::fuzz::framing, "NETCONF messages, both framings.";
    netconf_rpc = crate::protocol::netconf::fuzz::rpc, "RPCs of NETCONF.";
    netconf_xml = crate::protocol::netconf::fuzz::xml, "XML, and answers that are pruned.";
    object_pattern = crate::policy::fuzz::object_pattern, "Objects of rows and of requests: a kind, a pattern, then the object, each after a line end.";
    obligation = crate::policy::fuzz::obligation, "Obligations, windows among them, after eight bytes of a moment.";
    policy_cases = crate::policy::fuzz::policy_cases, "`cases.toml`.";
    policy_rows = crate::policy::fuzz::policy_rows, "`policy.csv`.";
    prompt = crate::protocol::ssh::fuzz::prompt, "A dialogue without a terminal: steps as for `sftp`.";
    proxy_header = crate::access::fuzz::proxy_header, "PROXY headers, both versions.";
    recording = crate::recording::fuzz::recording, "Recordings: file header, blocks, frames, seal.";
    recording_file = crate::recording::fuzz::recording_file, "A recording as a file for its reader, also with its hashes put right.";
    restconf_request = crate::protocol::restconf::fuzz::restconf_request, "RESTCONF: method, URL and media type, each after a line end, then the body.";
    scp = crate::protocol::ssh::fuzz::scp, "An scp command, a line end, and steps as for `sftp`.";
    sealed_secret = crate::element::fuzz::sealed_secret, "Sealed secrets, and secrets to be sealed.";
    sftp = crate::protocol::ssh::fuzz::sftp, "Both directions of SFTP: steps of side (even: client), length (two bytes) and bytes.";
    ssh_certificate = crate::identity::fuzz::ssh_certificate, "SSH certificates, of users and of hosts.";
    ssh_names = crate::protocol::ssh::fuzz::ssh_names, "SSH user names, destinations, listeners, sockets and commands.";
    terminal_output = crate::recording::fuzz::terminal_output, "Terminal output, to be shown again and as plain lines.";
    x509_leaf = crate::identity::fuzz::x509_leaf, "Client certificates in DER.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    /// Names in a folder, without the ending that all of them have.
    fn names(folder: &str, ending: &str) -> BTreeSet<String> {
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_suffix(ending).unwrap_or_else(|| panic!("{folder}/{name}")).to_owned())
            .collect()
    }

    #[test]
    fn each_target_has_a_corpus_and_a_program() {
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("tests/corpus", ""), targets);
        assert_eq!(names("fuzz/fuzz_targets", ".rs"), targets);
        let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let programs = manifest["bin"].as_array().unwrap().iter().map(|bin| {
            let name = bin["name"].as_str().unwrap().to_owned();
            assert_eq!(bin["path"].as_str(), Some(format!("fuzz_targets/{name}.rs").as_str()));
            name
        });
        assert_eq!(programs.collect::<BTreeSet<_>>(), targets);
        for (name, _) in TARGETS {
            assert!(!names(&format!("tests/corpus/{name}"), "").is_empty(), "{name}");
        }
    }
}

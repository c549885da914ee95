//! What the demo's lines send where a line would be too long for it (pure).

use std::net::SocketAddr;
use std::path::Path;

/// NETCONF's own namespace.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
/// Its first version, as a capability.
const BASE: &str = "urn:ietf:params:netconf:base:1.0";

/// What is asked by NETCONF: a file, and the operation in it.
const ASKED: [(&str, &str); 3] = [
    ("interfaces.xml", "  <get/>"),
    (
        "description.xml",
        r#"  <edit-config>
    <target><running/></target>
    <config>
      <interfaces xmlns="http://openconfig.net/yang/interfaces">
        <interface>
          <name>Loopback0</name>
          <config><description>changed by NETCONF</description></config>
        </interface>
      </interfaces>
    </config>
  </edit-config>"#,
    ),
    (
        "account.xml",
        r#"  <edit-config>
    <target><running/></target>
    <config>
      <system xmlns="http://openconfig.net/yang/system">
        <aaa><authentication><users>
          <user>
            <username>backdoor</username>
            <config><username>backdoor</username><role>SYSTEM_ROLE_ADMIN</role></config>
          </user>
        </users></authentication></aaa>
      </system>
    </config>
  </edit-config>"#,
    ),
];

/// The files for `ssh -s core-rtr-1 netconf < FILE`, with their names: a hello, what is asked, and the end. The markers are the framing of base:1.0.
pub(super) fn files() -> impl Iterator<Item = (&'static str, String)> {
    ASKED.into_iter().map(|(name, operation)| {
        let text = format!(
            r#"<hello xmlns="{NAMESPACE}"><capabilities><capability>{BASE}</capability></capabilities></hello>
]]>]]>
<rpc message-id="1" xmlns="{NAMESPACE}">
{operation}
</rpc>
]]>]]>
<rpc message-id="2" xmlns="{NAMESPACE}"><close-session/></rpc>
]]>]]>
"#
        );
        (name, text)
    })
}

/// What `curl -K` needs to speak to elements as an identity.
pub(super) fn curl_config(folder: &Path, gateway: SocketAddr) -> String {
    let quoted = |name: &str| {
        let path = folder.join(name).display().to_string();
        format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
    };
    format!(
        "# For `curl -K`: who asks, whom to trust, and where the gateway is, whatever element's name the URL has.\n\
         cert = {}\nkey = {}\ncacert = {}\nconnect-to = \"::{gateway}\"\n\
         header = \"Content-Type: application/yang-data+json\"\nsilent\nshow-error\nfail-with-body\n",
        quoted("cert.pem"),
        quoted("key.pem"),
        quoted("ca.pem")
    )
}

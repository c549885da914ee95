//! What the demo's lines send where a line would be too long for it (pure).

use std::net::SocketAddr;
use std::path::Path;

/// NETCONF messages, for `ssh -s core-rtr-1 netconf < FILE`: file and text. The markers are the framing of base:1.0.
pub(super) const FILES: [(&str, &str); 3] = [
    (
        "interfaces.xml",
        concat!(
            r#"<hello xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>
]]>]]>
<rpc message-id="1" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">
  <get/>
</rpc>
]]>]]>
"#,
            r#"<rpc message-id="2" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><close-session/></rpc>
]]>]]>
"#
        ),
    ),
    (
        "description.xml",
        concat!(
            r#"<hello xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>
]]>]]>
<rpc message-id="1" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">
  <edit-config>
    <target><running/></target>
    <config>
      <interfaces xmlns="http://openconfig.net/yang/interfaces">
        <interface>
          <name>Loopback0</name>
          <config><description>changed by NETCONF</description></config>
        </interface>
      </interfaces>
    </config>
  </edit-config>
</rpc>
]]>]]>
"#,
            r#"<rpc message-id="2" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><close-session/></rpc>
]]>]]>
"#
        ),
    ),
    (
        "account.xml",
        concat!(
            r#"<hello xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>
]]>]]>
<rpc message-id="1" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">
  <edit-config>
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
  </edit-config>
</rpc>
]]>]]>
"#,
            r#"<rpc message-id="2" xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"><close-session/></rpc>
]]>]]>
"#
        ),
    ),
];

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

#!/usr/bin/env python3
"""Starts HTTPS paths with client certificates on loopback, for `https_bench.py`, and writes its targets file.

    scripts/bench-https.py [--dir DIR] [--only direct,nginx,haproxy,sallyport] -- COMMAND...

The element is an nginx that requires a client certificate. `nginx` and `haproxy` require one too and encrypt again towards the element with a
certificate of their own: what the gateway does, without policy and without recording. `{targets}` in COMMAND is the targets file. It needs root
(names of elements are given to `ab` by a hosts file in a mount namespace of its own), OpenSSL, nginx and HAProxy; it builds nothing: `make build` first.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess as sp
import sys
import tempfile

from benchlib import SALLYPORT, free_port, listening, start, stop, wait_for

DOMAIN = "bench.example"
NAME = f"bench-api.sallyport.{DOMAIN}"
PATH = "/restconf/data/ietf-interfaces:interfaces/interface=eth0"
BODY = '{"ietf-interfaces:interface":[{"name":"eth0","type":"iana-if-type:ethernetCsmacd","enabled":true,"description":"to core-rtr-2"}]}'


def openssl(*words, stdin=None):
    sp.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True, input=stdin)


def certificates(dir):
    """An authority for servers, and one server's certificate and key in a file."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", dir / "ca.key", "-out", dir / "ca.pem",
            "-subj", "/CN=bench servers", "-days", "2")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", dir / "server.key", "-out", dir / "server.csr",
            "-subj", f"/CN={NAME}")
    (dir / "extensions").write_text(f"basicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:{NAME}\n"
                                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", dir / "server.csr", "-CA", dir / "ca.pem", "-CAkey", dir / "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", dir / "extensions", "-out", dir / "server.pem")
    both = dir / "server-both.pem"
    both.write_text((dir / "server.pem").read_text() + (dir / "server.key").read_text())
    return both


def make_gateway(home):
    """The gateway's folder, before it knows its element."""
    sp.run([SALLYPORT, "ca", "init", home, "--trust-domain", DOMAIN], check=True, stdout=sp.DEVNULL)
    sp.run([SALLYPORT, "ca", "issue", home, "user", "bench"], check=True, stdout=sp.DEVNULL)
    identity = home / "identities/bench"
    both = home / "client.pem"
    both.write_text((identity / "cert.pem").read_text() + (identity / "key.pem").read_text())
    return both


def start_gateway(dir, home, element_port):
    config = home / "sallyport.toml"
    text = re.sub(r'(\[(?:doors\.\w+|metrics)\]\nlisten = )"[^"]*"', r'\1"127.0.0.1:0"', config.read_text())
    limits = "[limits]\nconnections_max = 20000\nconnections_per_source_max = 20000\nconnections_per_identity_max = 20000\nhandshakes_max = 1000\n"
    config.write_text(text + limits)
    authority = (dir / "ca.pem").read_text()
    (home / "policies/elements.toml").write_text(
        f'[[element]]\nname = "bench-api"\naddresses = ["127.0.0.1:9"]\nplatform = "linux"\nclass = "linux-host"\naccount = "bench"\n'
        f'host_keys = ["SHA256:{"A" * 43}"]\nprotocols = ["restconf"]\nsessions_max = 10000\ndials_max = 1000\n'
        f'credential = {{ kind = "certificate" }}\n[element.https]\naddresses = ["127.0.0.1:{element_port}"]\nserver_name = "{NAME}"\n'
        f'restconf = "/restconf"\nca = ["""\n{authority}"""]\n')
    (home / "policies/policy.csv").write_text("p, user:bench, element:bench-api, *, data.read, /, allow\n")
    (home / "policies/cases.toml").write_text("")
    (home / "policies/models.toml").write_text('[[module]]\nname = "ietf-interfaces"\n[module.lists]\n"/interfaces/interface" = ["name"]\n')
    log = dir / "sallyport.out"
    process = start([SALLYPORT, "serve", "--config", config], log)
    (dir / "sallyport.pid").write_text(str(process.pid))
    return listening(process, log, "mtls")


def nginx(dir, name, clients, location, upstream=""):
    port = free_port()
    config = dir / f"{name}.conf"
    config.write_text(
        f"daemon off;\nworker_processes 2;\nworker_rlimit_nofile 20000;\npid {dir}/{name}.pid;\nerror_log {dir}/{name}.log;\nevents {{ worker_connections 8192; }}\n"
        f"http {{\n access_log off;\n keepalive_requests 100000000;\n keepalive_timeout 1h;\n ssl_session_cache off;\n ssl_session_tickets off;\n"
        + "".join(f" {kind}_temp_path {dir}/{name}-{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        + f"{upstream}\n server {{\n  listen 127.0.0.1:{port} ssl backlog=4096;\n  ssl_protocols TLSv1.3;\n  ssl_certificate {dir}/server.pem;\n"
        f"  ssl_certificate_key {dir}/server.key;\n  ssl_client_certificate {clients};\n  ssl_verify_client on;\n  ssl_verify_depth 2;\n{location}\n }}\n}}\n")
    start(["nginx", "-p", dir, "-c", config, "-e", dir / f"{name}.log"], dir / f"{name}.out")
    wait_for(port)
    return port


def nginx_relay(dir, home, element_port, client):
    location = (f"  location / {{ proxy_pass https://element; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host {NAME};\n"
                f"   proxy_ssl_certificate {client}; proxy_ssl_certificate_key {client}; proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/ca.pem;\n"
                f"   proxy_ssl_name {NAME}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3; }}")
    upstream = f" upstream element {{ server 127.0.0.1:{element_port}; keepalive 128; keepalive_requests 100000000; }}"
    return nginx(dir, "nginx", home / "ca/x509_ca.pem", location, upstream)


def haproxy_relay(dir, home, element_port, client):
    port, config = free_port(), dir / "haproxy.cfg"
    config.write_text(
        f"global\n maxconn 8192\n ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n tune.ssl.cachesize 0\ndefaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
        f"frontend in\n bind 127.0.0.1:{port} ssl crt {dir}/server-both.pem ca-file {home}/ca/x509_ca.pem verify required\n default_backend element\n"
        f"backend element\n http-reuse always\n server element 127.0.0.1:{element_port} ssl crt {client} ca-file {dir}/ca.pem verify required verifyhost {NAME} sni str({NAME})\n")
    process = start(["haproxy", "-f", config], dir / "haproxy.out")
    (dir / "haproxy.pid").write_text(str(process.pid))
    wait_for(port)
    return port


def run(dir, wanted, command):
    certificates(dir)
    home = dir / "sallyport/gateway"
    client = make_gateway(home)
    clients = dir / "clients.pem"
    clients.write_text((home / "ca/x509_ca.pem").read_text() + (home / "ca/x509_element_ca.pem").read_text())
    element_port = nginx(dir, "element", clients, f"  location / {{ default_type application/yang-data+json; return 200 '{BODY}'; }}")
    ports = {"direct": element_port}
    if "nginx" in wanted:
        ports["nginx"] = nginx_relay(dir, home, element_port, client)
    if "haproxy" in wanted:
        ports["haproxy"] = haproxy_relay(dir, home, element_port, client)
    if "sallyport" in wanted:
        ports["sallyport"] = start_gateway(dir, home, element_port)
    targets = f'[common]\ncert = "{client}"\npidfiles = ["{dir}/element.pid"]\n'
    for name in wanted:
        pid = "" if name == "direct" else f'"{dir}/{name}.pid"'
        targets += f'[[target]]\nname = "{name}"\nurl = "https://{NAME}:{ports[name]}{PATH}"\npidfiles = [{pid}]\n'
    file = dir / "targets.toml"
    file.write_text(targets)
    for name in wanted:
        answer = sp.run(["curl", "-sS", "--cacert", dir / "ca.pem" if name != "sallyport" else home / "ca/x509_ca.pem", "--cert", client,
                         f"https://{NAME}:{ports[name]}{PATH}"], capture_output=True, text=True)
        if answer.stdout != BODY:
            sys.exit(f"{name} does not answer as it should: {answer.stdout}{answer.stderr}")
    print(f"targets: {file}", flush=True)
    sys.exit(sp.run([part.replace("{targets}", str(file)) for part in command]).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=pathlib.Path)
    parser.add_argument("--only", default="direct,nginx,haproxy,sallyport")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    if not SALLYPORT.exists():
        sys.exit(f"{SALLYPORT} is not there; run `make build` first")
    if os.environ.get("BENCH_HOSTS") != "own":
        if not shutil.which("unshare"):
            sys.exit("unshare (util-linux) is not there")
        os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv], {**os.environ, "BENCH_HOSTS": "own"})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as made:
        dir = (args.dir or pathlib.Path(made)).resolve()
        dir.mkdir(parents=True, exist_ok=True)
        dir.chmod(0o755)
        hosts = dir / "hosts"
        hosts.write_text(pathlib.Path("/etc/hosts").read_text() + f"\n127.0.0.1 {NAME}\n")
        sp.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
        try:
            run(dir, args.only.split(","), args.command)
        except KeyboardInterrupt:
            pass
        finally:
            stop()


if __name__ == "__main__":
    main()

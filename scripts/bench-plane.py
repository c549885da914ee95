#!/usr/bin/env python3
"""Measures the management plane beside the same without a gateway, on loopback, in one run; prints a line for each and the ratio.

    scripts/bench-plane.py netconf [--runs 20] [--sallyport PATH]
    scripts/bench-plane.py gnmi [--updates 20000] [--rate 1000] [--python PYTHON] [--sallyport PATH]

netconf: get-config of ten MiB from a small server of the tests, by the SSH subsystem, directly and through the mTLS door, in turn; what counts is
the best rate of each, and gateway / direct >= 0.7. gnmi: one Subscribe at RATE updates a second from the tests' target, directly and through the
gateway, in turn; the time from an update's timestamp to its arrival, and what the gateway adds at p50 and p99. PYTHON has grpc and pygnmi.
Needs OpenSSH, for netconf root (sshd); builds nothing: `make build` first. Best on a machine that does nothing else.
"""
import argparse
import getpass
import importlib.util
import json
import pathlib
import re
import shutil
import signal
import statistics
import subprocess as sp
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("paths", ROOT / "scripts/bench-paths.py")
paths = importlib.util.module_from_spec(spec)
spec.loader.exec_module(paths)
DATA = ROOT / "tests/it/data"
ACCOUNT = getpass.getuser()
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"


def line(log, pattern, process):
    deadline = time.time() + 30
    while time.time() < deadline and process.poll() is None:
        found = re.search(pattern, log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    sys.exit(f"it does not start:\n{log.read_text()}")


def gateway(dir, sallyport, element, rows):
    """A gateway with the mTLS door; `element(home)` is its inventory. Gives its folder and port."""
    home = dir / "gateway"
    sp.run([sallyport, "ca", "init", home, "--trust-domain", "bench.example"], check=True, stdout=sp.DEVNULL)
    sp.run([sallyport, "ca", "issue", home, "user", "bench"], check=True, stdout=sp.DEVNULL)
    config = home / "sallyport.toml"
    config.write_text(re.sub(r'listen = "[^"]*"', 'listen = "127.0.0.1:0"', config.read_text()))
    (home / "policies/elements.toml").write_text(element(home))
    (home / "policies/policy.csv").write_text("\n".join(f"p, user:bench, element:r1, *, {row}, allow" for row in rows) + "\n")
    (home / "policies/cases.toml").write_text("")
    log = dir / "gateway.out"
    process = paths.start([sallyport, "serve", "--config", config], log)
    return home, int(line(log, r"listening mtls \S*?:(\d+)", process))


def inventory(host_key, lines):
    return (f'[[element]]\nname = "r1"\nplatform = "eos"\nclass = "core-router"\naccount = "{ACCOUNT}"\nsessions_max = 1000\n'
            f'host_keys = ["{host_key}"]\ncredential = {{ kind = "certificate" }}\n{lines}\n')


def public(path):
    return " ".join(pathlib.Path(f"{path}.pub").read_text().split()[:2])


def netconf(dir, args):
    paths.keygen(dir / "id")
    paths.keygen(dir / "host")
    authority, port = dir / "authority", paths.free_port()
    (dir / "keys").write_text((dir / "id.pub").read_text())
    authority.write_text("")
    program = dir / "netconf.sh"
    program.write_text(f"#!/bin/sh\nexec python3 {DATA}/netconf_odd.py big\n")
    program.chmod(0o755)
    (dir / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nPidFile {dir}/sshd.pid\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
        f"TrustedUserCAKeys {authority}\nAuthorizedKeysFile {dir}/keys\nPrintMotd no\nPrintLastLog no\nSubsystem netconf {program}\n")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    paths.start([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", dir / "sshd.conf", "-E", dir / "sshd.log"], dir / "sshd.out")
    paths.wait_for(port)
    rows = ["netconf.session, -", "data.read, /"]
    element = lambda _: inventory(public(dir / "host"), f'addresses = ["127.0.0.1:{port}"]\nprotocols = ["ssh", "netconf"]')
    home, door = gateway(dir, args.sallyport, element, rows)
    authority.write_text((home / "ca/ssh_element_ca.pub").read_text())
    options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={dir}/kh", "-o", "IdentitiesOnly=yes",
               "-o", "LogLevel=ERROR", "-c", "aes128-gcm@openssh.com"]
    proxy = f"{args.sallyport} connect %h --identity {home}/identities/bench --gateway 127.0.0.1:{door}"
    ways = {
        "direct": ["ssh", *options, "-i", dir / "id", "-p", str(port), "-s", f"{ACCOUNT}@127.0.0.1", "netconf"],
        "gateway": ["ssh", *options, "-i", home / "identities/bench/ssh_key", "-o", f"ProxyCommand={proxy}", "-s", f"{ACCOUNT}@r1", "netconf"],
    }
    ask = f'<rpc xmlns="{BASE}" message-id="1"><get-config><source><running/></source></get-config></rpc>]]>]]>'
    hello = f'<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>]]>]]>'
    rates = {name: [] for name in ways}
    for _ in range(args.runs):
        for name, command in ways.items():
            rates[name].append(fetch([str(part) for part in command], hello, ask))
    for name, of in rates.items():
        print(f"{name:8} best {max(of):7.1f} MiB/s, median {statistics.median(of):7.1f} MiB/s, {len(of)} runs")
    ratio = max(rates["gateway"]) / max(rates["direct"])
    print(f"netconf get-config, gateway / direct: {ratio:.2f} (at least 0.70: {'yes' if ratio >= 0.7 else 'NO'})")


def fetch(command, hello, ask):
    """The rate of one answer: from the request to its end, the login apart."""
    with sp.Popen(command, stdin=sp.PIPE, stdout=sp.PIPE) as child:
        message(child.stdout)
        child.stdin.write((hello + ask).encode())
        began = time.perf_counter()
        child.stdin.flush()
        size = message(child.stdout)
        took = time.perf_counter() - began
        child.stdin.close()
        child.kill()
    if size < 10 << 20:
        sys.exit(f"the answer has {size} bytes")
    return size / took / (1 << 20)


def message(stream):
    size, tail = 0, b""
    while b"]]>]]>" not in tail:
        data = stream.read1(1 << 20)
        if not data:
            sys.exit("the connection was closed")
        size += len(data)
        tail = tail[-5:] + data
    return size


def gnmi(dir, args):
    paths.keygen(dir / "host")
    element_ca, ports = {}, {}

    def target(name, authority, *more):
        log = dir / f"{name}.out"
        process = paths.start([args.python, DATA / "gnmi_target.py", dir / "server.pem", dir / "server.key", authority, *more], log)
        ports[name] = int(line(log, r"port (\d+)", process))

    certificate(dir)
    target("direct", dir / "ca.pem", "password")

    def element(home):
        target("gateway", home / "ca/x509_element_ca.pem")
        return inventory(public(dir / "host"), f'addresses = ["127.0.0.1:9"]\nprotocols = ["gnmi"]\n[element.gnmi]\naddresses = ["127.0.0.1:{ports["gateway"]}"]\n'
                         f'server_name = "r1.lab.example"\nca = ["""\n{(dir / "ca.pem").read_text()}"""]')

    home, door = gateway(dir, args.sallyport, element, ["data.read, /"])
    identity = home / "identities/bench"
    name = "r1." + re.search(r'domain = "([^"]*)"', (home / "sallyport.toml").read_text())[1]
    ways = {
        "direct": [ports["direct"], "r1.lab.example", dir / "ca.pem"],
        "gateway": [door, name, home / "ca/x509_ca.pem", identity / "cert.pem", identity / "key.pem"],
    }
    told = {way: [] for way in ways}
    for _ in range(2):
        for way, more in ways.items():
            ran = sp.run([args.python, __file__, "follow", str(args.updates // 2), str(args.rate), *map(str, more)], capture_output=True, text=True)
            if ran.returncode:
                sys.exit(f"{way}: {ran.stderr}")
            told[way] += json.loads(ran.stdout)
    at = {}
    for way, of in told.items():
        of.sort()
        at[way] = [of[len(of) * part // 100] / 1e6 for part in (50, 99)]
        print(f"{way:8} p50 {at[way][0]:7.3f} ms, p99 {at[way][1]:7.3f} ms, {len(of)} updates")
    added = [gateway - direct for gateway, direct in zip(at["gateway"], at["direct"])]
    print(f"gnmi Subscribe at {args.rate}/s, added: p50 {added[0]:.3f} ms, p99 {added[1]:.3f} ms")


def certificate(dir):
    def openssl(*command):
        sp.run(["openssl", *map(str, command)], check=True, capture_output=True)
    extensions = dir / "extensions"
    extensions.write_text("basicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:r1.lab.example\n"
                          "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", dir / "ca.key", "-out", dir / "ca.pem", "-subj", "/CN=bench", "-days", 2)
    openssl("req", *key, "-keyout", dir / "server.key", "-out", dir / "server.csr", "-subj", "/CN=r1")
    openssl("x509", "-req", "-in", dir / "server.csr", "-CA", dir / "ca.pem", "-CAkey", dir / "ca.key", "-set_serial", 2, "-days", 2,
            "-extfile", extensions, "-out", dir / "server.pem")


def follow(count, rate, port, name, ca, cert=None, key=None):
    """Prints how long each update was on its way, in nanoseconds."""
    import grpc
    from pygnmi.spec.v080 import gnmi_pb2 as g
    read = lambda path: path and open(path, "rb").read()
    credentials = grpc.ssl_channel_credentials(read(ca), read(key), read(cert))
    channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials, [("grpc.ssl_target_name_override", name)])
    path = g.Path(elem=[g.PathElem(name="a")])
    asked = g.SubscribeRequest(subscribe=g.SubscriptionList(subscription=[g.Subscription(path=path, mode=2, sample_interval=10**9 // int(rate))]))
    took = []
    call = channel.stream_stream("/gnmi.gNMI/Subscribe")(iter([asked.SerializeToString()]))
    for raw in call:
        update = g.SubscribeResponse.FromString(raw)
        if update.HasField("update"):
            took.append(time.time_ns() - update.update.timestamp)
        if len(took) >= int(count) + 100:
            break
    call.cancel()
    # Without what a stream begins with.
    print(json.dumps(took[100:]))


def main():
    if sys.argv[1:2] == ["follow"]:
        return follow(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["netconf", "gnmi"])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--sallyport", type=pathlib.Path, default=paths.SALLYPORT)
    args = parser.parse_args()
    if not args.sallyport.exists():
        sys.exit(f"{args.sallyport} is not there; run `make build` first")
    args.sallyport = args.sallyport.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as made:
        try:
            {"netconf": netconf, "gnmi": gnmi}[args.what](pathlib.Path(made), args)
        finally:
            paths.stop()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Starts the paths that the comparison harness measures, on loopback, and writes its targets file.

    scripts/bench-paths.py [--dir DIR] [--only direct,tcp-relay,ssh-J,sallyport-mtls,sallyport-ssh] [--keep-everything] [-- COMMAND...]

With a COMMAND it runs that and stops everything when it ends; without one it waits for Ctrl-C. `{targets}` in COMMAND is the
targets file. Needs root (sshd), OpenSSH and, for tcp-relay, HAProxy; builds nothing: `make build` first.

Each door has a gateway process of its own, so that their CPU is told apart. Everything listens on loopback and is ended by its process id.
"""
import argparse
import getpass
import os
import pathlib
import re
import shutil
import signal
import subprocess as sp
import sys
import tempfile
import time

from benchlib import SALLYPORT, free_port, listening, start, stop, wait_for

ACCOUNT = getpass.getuser()


def keygen(path, *more):
    sp.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", path, *more], check=True)


def sshd(dir, name, authority, user_key):
    port, host_key = free_port(), dir / f"{name}_host"
    keygen(host_key)
    config = dir / f"{name}.conf"
    keys = dir / f"{name}.keys"
    keys.write_text(user_key)
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile {dir}/{name}.pid\nUsePAM no\nStrictModes no\n"
        f"TrustedUserCAKeys {authority}\nAuthorizedKeysFile {keys}\nPermitRootLogin yes\nPrintMotd no\nPrintLastLog no\n"
        f"MaxStartups 1000\nMaxSessions 1000\nSubsystem sftp internal-sftp\n")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    start([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", config, "-E", dir / f"{name}.log"], dir / f"{name}.out")
    wait_for(port)
    return port, host_key


def gateway(dir, name, element_port, host_key, doors, keep):
    """A gateway with one door; gives its folder and the door's port."""
    # Not beside the logs: the folders above the configuration are watched.
    home = dir / name / "gateway"
    sp.run([SALLYPORT, "ca", "init", home, "--trust-domain", "bench.example"], check=True, stdout=sp.DEVNULL)
    sp.run([SALLYPORT, "ca", "issue", home, "user", "bench"], check=True, stdout=sp.DEVNULL)
    config = home / "sallyport.toml"
    text = re.sub(r'\[doors\.mtls\]\nlisten = "[^"]*"\n', "", config.read_text())
    text = re.sub(r'\[metrics\]\nlisten = "[^"]*"', '[metrics]\nlisten = "127.0.0.1:0"', text)
    limits = "[limits]\nconnections_max = 20000\nconnections_per_source_max = 20000\nconnections_per_identity_max = 20000\nhandshakes_max = 1000\n"
    if keep:
        limits += 'bulk_kept_bytes_max = 1099511627776\n'
    config.write_text(text + f"\n[doors.{doors}]\nlisten = \"127.0.0.1:0\"\n{limits}")
    fingerprint = sp.run(["ssh-keygen", "-lf", f"{host_key}.pub"], capture_output=True, text=True, check=True).stdout.split()[1]
    (home / "policies/elements.toml").write_text(
        f'[[element]]\nname = "bench-host"\naddresses = ["127.0.0.1:{element_port}"]\nplatform = "linux"\nclass = "linux-host"\n'
        f'account = "{ACCOUNT}"\nhost_keys = ["{fingerprint}"]\nprotocols = ["ssh"]\nsessions_max = 10000\ndials_max = 1000\n'
        f'credential = {{ kind = "certificate" }}\n')
    rows = [f"p, user:bench, element:bench-host, *, {verb}, {object}, allow"
            for verb, object in [("ssh.raw-shell", "-"), ("ssh.exec", "class:any-command"), ("file.*", "**")]]
    (home / "policies/policy.csv").write_text("\n".join(rows) + "\n")
    (home / "policies/cases.toml").write_text("")
    log = dir / f"{name}.out"
    process = start([SALLYPORT, "serve", "--config", config], log)
    (dir / f"{name}.pid").write_text(str(process.pid))
    return home, listening(process, log, doors)


def haproxy(dir, to):
    port = free_port()
    config = dir / "haproxy.cfg"
    config.write_text(f"defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
                      f"listen relay\n bind 127.0.0.1:{port}\n server element 127.0.0.1:{to}\n")
    process = start(["haproxy", "-f", config], dir / "haproxy.out")
    (dir / "haproxy.pid").write_text(str(process.pid))
    wait_for(port)
    return port


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=pathlib.Path)
    parser.add_argument("--only", default="direct,tcp-relay,ssh-J,sallyport-mtls,sallyport-ssh")
    parser.add_argument("--keep-everything", action="store_true", help="no cap on what commands put out in the gateways' recordings")
    parser.add_argument("command", nargs="*")
    args = parser.parse_args()
    if not SALLYPORT.exists():
        sys.exit(f"{SALLYPORT} is not there; run `make build` first")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = args.only.split(",")
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as made:
        dir = (args.dir or pathlib.Path(made)).resolve()
        dir.mkdir(parents=True, exist_ok=True)
        try:
            run(dir, wanted, args.command, args.keep_everything)
        except KeyboardInterrupt:
            pass
        finally:
            stop()


def run(dir, wanted, command, keep=False):
    keygen(dir / "id")
    public = (dir / "id.pub").read_text()
    # One element for all paths; it trusts the element authorities of both gateways.
    authorities = dir / "authorities"
    authorities.write_text("")
    port, host_key = sshd(dir, "sshd", authorities, public)
    targets = [f'[common]\nhost = "127.0.0.1"\nuser = "{ACCOUNT}"\nkey = "{dir}/id"\npidfiles = ["{dir}/sshd.pid"]\n'
               f'common_options = ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no", "UserKnownHostsFile={dir}/kh",\n'
               f'  "LogLevel=ERROR", "KexAlgorithms=curve25519-sha256"]\n']

    def target(name, pid, **more):
        lines = "".join(f"{key} = {value}\n" for key, value in more.items())
        targets.append(f'[[target]]\nname = "{name}"\npidfiles = [{pid}]\n{lines}')

    if "direct" in wanted:
        target("direct", "", port=port)
    if "tcp-relay" in wanted and shutil.which("haproxy"):
        target("tcp-relay", f'"{dir}/haproxy.pid"', port=haproxy(dir, port))
    if "ssh-J" in wanted:
        jump, _ = sshd(dir, "sshd_jump", authorities, public)
        proxy = f"ssh -F none -q -i {{key}} -o StrictHostKeyChecking=no -o UserKnownHostsFile={dir}/kh -c {{cipher}} -p {jump} -W %h:%p {ACCOUNT}@localhost"
        target("ssh-J", f'"{dir}/sshd_jump.pid"', port=port, options=f'["ProxyCommand={proxy}"]')
    for name, door in [("sallyport-mtls", "mtls"), ("sallyport-ssh", "ssh")]:
        if name not in wanted:
            continue
        home, door_port = gateway(dir, name, port, host_key, door, keep)
        with authorities.open("a") as file:
            file.write((home / "ca/ssh_element_ca.pub").read_text())
        identity = home / "identities/bench"
        common = dict(recordings=f'"{home}/data/recordings"', key=f'"{identity}/ssh_key"')
        if door == "mtls":
            proxy = f"{SALLYPORT} connect %h --identity {identity} --gateway 127.0.0.1:{door_port}"
            target(name, f'"{dir}/{name}.pid"', host='"bench-host"', port=22, options=f'["ProxyCommand={proxy}"]', **common)
        else:
            # As `sallyport ssh-config` says it: the certificate is offered before the bare key.
            options = f'["CertificateFile={identity}/ssh_key-cert.pub"]'
            target(name, f'"{dir}/{name}.pid"', user=f'"{ACCOUNT}@bench-host"', port=door_port, options=options, **common)
    file = dir / "targets.toml"
    file.write_text("\n".join(targets))
    print(f"targets: {file}", flush=True)
    if command:
        sys.exit(sp.run([part.replace("{targets}", str(file)) for part in command]).returncode)
    signal.pause()


if __name__ == "__main__":
    main()

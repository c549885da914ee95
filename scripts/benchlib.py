"""What the scripts that start paths for the harness share: processes, ports, and a gateway's own lines."""
import os
import pathlib
import re
import socket
import subprocess as sp
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SALLYPORT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/sallyport"
started = []


def start(command, log, **more):
    process = sp.Popen([str(part) for part in command], stdout=open(log, "wb"), stderr=sp.STDOUT, **more)
    started.append(process)
    return process


def stop(*_):
    for process in reversed(started):
        if process.poll() is None:
            process.terminate()
    for process in started:
        try:
            process.wait(10)
        except sp.TimeoutExpired:
            process.kill()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, within=20):
    deadline = time.time() + within
    while time.time() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def listening(process, log, door):
    """The port of a gateway's door, when it says so."""
    deadline = time.time() + 30
    while time.time() < deadline and process.poll() is None:
        found = re.search(rf"listening {door} \S*?:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    sys.exit(f"the gateway does not start:\n{log.read_text()}")

#!/usr/bin/env python3
"""How long after an edit of policy the last live session has ended that it no longer allows.

    scripts/bench-paths.py --only sallyport-ssh -- scripts/bench-edit.py {targets} [--sessions 1000] [--target sallyport-ssh]

Opens the sessions through a running gateway, takes away the rows that allow them, and reads the gateway's own log: from the moment at which the new
file was in its place to the last "Session closed". It starts OpenSSH clients only and ends them by process id.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import resource
import select
import subprocess as sp
import sys
import time
import tomllib


def command(common, target):
    fields = {**{k: v for k, v in {**common, **target}.items() if isinstance(v, (str, int))}, "cipher": "aes256-gcm@openssh.com"}
    words = ["ssh", "-F", "none", "-tt", "-e", "none", "-i", fields["key"], "-p", str(fields["port"])]
    for option in common.get("common_options", []) + target.get("options", []):
        words += ["-o", option.format(**fields)]
    return words + [f"{fields['user'].format(**fields)}@{fields['host']}", "stty -echo; echo READY; exec cat"]


def begin(words):
    process = sp.Popen(words, stdin=sp.PIPE, stdout=sp.PIPE, stderr=sp.DEVNULL, start_new_session=True)
    said, deadline = b"", time.monotonic() + 120
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN | select.POLLHUP)
    while b"READY" not in said:
        ready = poll.poll(max(0, deadline - time.monotonic()) * 1000)
        got = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not got:
            process.kill()
            return None
        said += got
    return process


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def closed(log):
    """When sessions closed, and how, by the gateway's log."""
    for line in log.read_text().splitlines():
        if '"Session closed."' in line:
            entry = json.loads(line)
            yield moment(entry["timestamp"]), entry["outcome"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets")
    parser.add_argument("--target", default="sallyport-ssh")
    parser.add_argument("--sessions", type=int, default=1000)
    args = parser.parse_args()
    with open(args.targets, "rb") as file:
        config = tomllib.load(file)
    target = next(target for target in config["target"] if target["name"] == args.target)
    home = pathlib.Path(target["recordings"]).parent.parent
    log, rows = pathlib.Path(args.targets).parent / f"{args.target}.out", home / "policies/policy.csv"
    words = command(config["common"], target)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        live = [process for process in pool.map(begin, [words] * args.sessions) if process]
    print(f"{len(live)} of {args.sessions} sessions are live", flush=True)
    try:
        edited = rows.with_suffix(".new")
        edited.write_text("\n".join(line for line in rows.read_text().splitlines() if "ssh.exec" not in line) + "\n")
        edited.rename(rows)
        at, deadline = time.time(), time.monotonic() + 60
        while sum(1 for when, _ in closed(log) if when >= at) < len(live):
            if time.monotonic() > deadline:
                sys.exit("not every session ended within 60 s")
            time.sleep(0.5)
        ends = sorted((when - at) * 1000 for when, outcome in closed(log) if when >= at and outcome == "policy-denies")
        print(f"{len(ends)} ended because policy denies: the first after {ends[0]:.0f} ms, half after {ends[len(ends) // 2]:.0f} ms, the last after {ends[-1]:.0f} ms")
    finally:
        for process in live:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()

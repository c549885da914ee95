"""Breaks SSH from inside, after the login: wire.py WAY USER. Prints `CASE: what became of the connection` for each way of breaking it.

WAY is a ProxyCommand. `works`: a command ran on it afterwards. `refused`: what was asked for was. `cut off`: the gateway ended it.
"""
import os, shlex, socket, struct, subprocess, sys, threading

import paramiko
from paramiko import Message

way, user = sys.argv[1:]
PATIENCE = 20
MOST = 0xFFFFFFFF


def connect():
    ours, theirs = socket.socketpair()
    subprocess.Popen(shlex.split(way), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    theirs.close()
    transport = paramiko.Transport(ours)
    transport.start_client(timeout=PATIENCE)
    transport.auth_none(user)
    return transport


def message(kind, *fields):
    made = Message()
    made.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            made.add_boolean(field)
        elif isinstance(field, int):
            made.add_int(field)
        elif isinstance(field, bytes):
            made.add_bytes(field)
        else:
            made.add_string(field)
    return made


def say(transport, *messages):
    for one in messages:
        transport._send_message(one)


def run(transport, command="echo fine", **sizes):
    """What a command says: on a channel that is opened with these sizes."""
    if sizes:
        transport._sanitize_packet_size = lambda _: sizes.get("packet", 32768)
        transport._sanitize_window_size = lambda _: sizes.get("window", 1 << 20)
    channel = transport.open_session(timeout=PATIENCE)
    channel.settimeout(PATIENCE)
    channel.exec_command(command)
    seen = b""
    while more := channel.recv(65536):
        seen += more
    if channel.recv_exit_status() != 0:
        raise EOFError
    return seen


def windows_that_overflow(transport):
    channel = transport.open_session(timeout=PATIENCE)
    say(transport, *[message(93, channel.remote_chanid, MOST)] * 64)
    channel.settimeout(PATIENCE)
    channel.exec_command("head -c 300000 /dev/zero")
    seen = 0
    while more := channel.recv(65536):
        seen += len(more)
    assert seen == 300000


def windows_of_channels_that_are_not(transport):
    say(transport, *[message(93, number, MOST) for number in (7, 1000, MOST)])


def packets_of_nothing(transport):
    run(transport, packet=0)


def packets_of_a_byte(transport):
    assert run(transport, "head -c 300 /dev/zero", packet=1) == bytes(300)


def packets_of_everything(transport):
    assert len(run(transport, "head -c 300000 /dev/zero", packet=MOST)) == 300000


def windows_of_everything(transport):
    assert len(run(transport, "head -c 300000 /dev/zero", window=MOST)) == 300000


def windows_of_nothing(transport):
    transport._sanitize_window_size = lambda _: 0
    channel = transport.open_session(timeout=PATIENCE)
    channel.exec_command("head -c 3000000 /dev/zero")
    del transport._sanitize_window_size


def data_for_channels_that_are_not(transport):
    say(transport, *[message(94, number, "x" * 1000) for number in (7, 1000, MOST)] * 100)


def more_than_the_window(transport):
    channel = transport.open_session(timeout=PATIENCE)
    channel.exec_command("exec sleep 600")
    say(transport, *[message(94, channel.remote_chanid, "x" * 32000)] * 3000)


def more_than_a_packet(transport):
    channel = transport.open_session(timeout=PATIENCE)
    say(transport, message(94, channel.remote_chanid, "x" * 250000))


def lengths_that_lie(transport):
    channel = transport.open_session(timeout=PATIENCE)
    say(transport, message(98, channel.remote_chanid, struct.pack(">I", MOST) + b"exec"))


def requests_cut_short(transport):
    channel = transport.open_session(timeout=PATIENCE)
    say(transport, message(98, channel.remote_chanid, "pty-req", True, "vt100", 80))


def extensions_without_end(transport):
    say(transport, *[message(7, 1, "x" * 100, "y" * 30000)] * 1000)


def a_second_login(transport):
    say(transport, message(5, "ssh-userauth"), message(50, "root", "ssh-connection", "none"))


def keys_without_an_exchange(transport):
    say(transport, message(21))


def halves_without_an_exchange(transport):
    say(transport, *[message(kind, "x" * 32) for kind in (30, 31, 32, 33, 34)])


def what_only_a_server_says(transport):
    say(transport, message(52), message(6, "ssh-connection"), message(60, "x"), message(99, 0), message(91, 0, 0, 0, 0))


def numbers_that_mean_nothing(transport):
    say(transport, *[message(kind) for kind in (0, 9, 19, 29, 49, 59, 79, 89, 101, 127, 191, 192, 255)])


def a_packet_that_was_changed(transport):
    packetizer = transport.packetizer
    write = packetizer.write_all
    packetizer.write_all = lambda out: write(bytes([out[0] ^ 1]) + out[1:])
    say(transport, message(2, "x" * 100))
    packetizer.write_all = write


def attempt(case):
    transport = connect()
    case(transport)
    assert run(transport) == b"fine\n"


for name, case in list(globals().items()):
    if callable(case) and getattr(case, "__code__", None) and case.__code__.co_varnames[:1] == ("transport",) and "_" in name:
        try:
            attempt(case)
            print(f"{name}: works", flush=True)
        except paramiko.ChannelException as error:
            print(f"{name}: refused", error.code, flush=True)
        except (EOFError, OSError, paramiko.SSHException) as error:
            print(f"{name}: cut off", flush=True)
        except AssertionError:
            print(f"{name}: WRONG", flush=True)
print("done", flush=True)
os._exit(0)

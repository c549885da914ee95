"""Breaks the SSH transport (RFC 4253) before anybody is known, byte by byte.

raw_ssh.py client WAY          knocks once in each way; WAY is a ProxyCommand, or a port of loopback. Prints `CASE: how it ended`.
raw_ssh.py element HOST_KEY    one element for each way; prints `CASE PORT` for each and `ready`. HOST_KEY is its public key in base64.
"""
import base64, os, shlex, socket, struct, subprocess, sys, threading, time

from paramiko.kex_group16 import KexGroup16SHA512

PATIENCE = 20
P = KexGroup16SHA512.P
DH, X25519 = "diffie-hellman-group16-sha512", "curve25519-sha256"
# Points of small order on the curve: with each of them everybody gets the same secret.
SMALL_ORDER = [bytes(32), b"\1" + bytes(31), bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]


def string(data):
    return struct.pack(">I", len(data)) + data


def mpint(number):
    length = (number.bit_length() + 8) // 8 if number > 0 else (1 if number < 0 else 0)
    return string(number.to_bytes(length, "big", signed=True))


def framed(payload, length=None, padding=None):
    pad = 8 - (len(payload) + 5) % 8
    pad += 8 if pad < 4 else 0
    length = len(payload) + pad + 1 if length is None else length
    return struct.pack(">IB", length, pad if padding is None else padding) + payload + bytes(pad)


def kexinit(exchange):
    lists = [exchange, "ssh-ed25519,rsa-sha2-512", "aes256-ctr", "aes256-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""]
    return framed(b"\x14" + os.urandom(16) + b"".join(string(l.encode()) for l in lists) + bytes(5))


def init(value, kind=30):
    """The client's half of the key exchange."""
    return framed(bytes([kind]) + value)


def reply(value, kind=31):
    """The element's, with a signature that is none: what comes before it has to be refused before."""
    return framed(bytes([kind]) + string(HOST_KEY) + value + string(string(b"ssh-ed25519") + string(bytes(64))))


EXT_INFO = framed(b"\x07" + struct.pack(">I", 1) + string(b"x" * 100) + string(b"y" * 30000))
BANNER = b"SSH-2.0-hostile\r\n"
HEAD = [BANNER]


def transport():
    """What breaks the framing: the same for both sides."""
    good = b"\x02" + string(b"nothing")
    yield "length-of-all-ones", HEAD + [b"\xff\xff\xff\xff" + bytes(64)]
    yield "length-of-a-quarter-gigabyte", HEAD + [struct.pack(">IB", 1 << 28, 4)] + [bytes(1 << 16)] * 400
    yield "length-of-nothing", HEAD + [framed(good, length=0)]
    yield "length-that-is-odd", HEAD + [framed(good, length=13)]
    yield "padding-longer-than-its-packet", HEAD + [framed(good, padding=255)]
    yield "padding-of-nothing", HEAD + [framed(b"\x02" + bytes(10), length=12, padding=0)] * 2 + [b"\xff" * 64]
    yield "packet-of-nothing", HEAD + [framed(b"")]
    yield "version-without-end", [b"SSH-2.0-" + b"x" * (1 << 16)] * 16
    yield "lines-before-the-version", [b"x\r\n" * (1 << 14)] * 20
    yield "version-of-the-past", [b"SSH-1.5-old\r\n"]
    for name, kind in [("authentication", 50), ("success", 52), ("new-keys", 21), ("key-exchange", 30), ("channel", 90), ("disorder", 255)]:
        yield f"{name}-before-the-algorithms", HEAD + [framed(bytes([kind]) + string(b"x") * 4)]


def exchanges(half):
    """What breaks the key exchange, with one side's half of it."""
    for name, number in [("zero", 0), ("one", 1), ("minus-one", P - 1), ("the-prime", P), ("more", P * 2 + 1)]:
        yield f"group-{name}", HEAD + [kexinit(DH), half(mpint(number))]
    yield "group-of-a-megabit", HEAD + [kexinit(DH), half(string(b"\x7f" * (1 << 17)))]
    yield "group-cut-short", HEAD + [kexinit(DH), half(struct.pack(">I", 1 << 30) + b"xx")]
    for length in (0, 1, 31, 33, 4096):
        yield f"point-of-{length}-bytes", HEAD + [kexinit(X25519), half(string(b"\x42" * length))]
    for turn, point in enumerate(SMALL_ORDER):
        yield f"point-of-small-order-{turn}", HEAD + [kexinit(X25519), half(string(point))]
    yield "lattice-cut-short", HEAD + [kexinit("mlkem768x25519-sha256"), half(string(bytes(32)))]
    yield "extensions-without-end", HEAD + [kexinit(X25519)] + [EXT_INFO] * 1000
    yield "key-exchange-that-never-ends", HEAD + [kexinit(X25519)] * 2000
    yield "channel-before-the-keys", HEAD + [kexinit(X25519), framed(b"\x5a" + string(b"session") + bytes(12))]
    yield "keys-before-the-exchange", HEAD + [kexinit(X25519), framed(b"\x15"), b"\x5a" * 64]


def messages(seen):
    """The numbers of the messages that are in the clear."""
    _, _, rest = seen.partition(b"\n")
    while len(rest) > 5:
        yield rest[5]
        rest = rest[4 + struct.unpack(">I", rest[:4])[0] :]


def ended(stream):
    """Reads until the other side ends it: how, and whether it took part in a key exchange before."""
    how, seen = read(stream)
    return "agreed and " + how if 31 in messages(seen) else how


def read(stream):
    seen = b""
    stream.settimeout(PATIENCE)
    try:
        while more := stream.recv(65536):
            seen += more
    except socket.timeout:
        return "kept", seen
    except OSError:
        return "reset", seen
    return "closed", seen


def say(stream, pieces):
    stream.settimeout(PATIENCE)
    try:
        for piece in pieces:
            stream.sendall(piece)
    except socket.timeout:
        return "stuck"
    except OSError:
        pass  # It has ended it already.
    return ended(stream)


def client(way):
    for name, pieces in [*transport(), *exchanges(init)]:
        if way.isdigit():
            ours = socket.create_connection(("127.0.0.1", int(way)), PATIENCE)
        else:
            ours, theirs = socket.socketpair()
            proxy = subprocess.Popen(shlex.split(way), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
            theirs.close()
        begun = time.monotonic()
        how = say(ours, pieces)
        print(f"{name}: {how}", round(time.monotonic() - begun, 1), flush=True)
        ours.close()
        if not way.isdigit():
            proxy.wait(PATIENCE)


def serve(listener, pieces):
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=lambda: (say(stream, pieces), stream.close()), daemon=True).start()


def element(host_key):
    global HOST_KEY
    HOST_KEY = base64.b64decode(host_key)
    for name, pieces in [*transport(), *exchanges(reply)]:
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(listener, pieces), daemon=True).start()
        print(name, listener.getsockname()[1], flush=True)
    print("ready", flush=True)
    threading.Event().wait()


{"client": client, "element": element}[sys.argv[1]](*sys.argv[2:])

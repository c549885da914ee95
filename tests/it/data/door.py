"""Knocks on the mTLS door: door.py PORT CERT KEY CA NAME [FIRST_LINE]. Prints the first line that comes back, or why none does.

FIRST_LINE is sent in clear before TLS, as a load balancer sends the PROXY header.
"""
import socket, ssl, sys

port, cert, key, ca, name, *first = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["ssh"])
if cert != "-":
    context.load_cert_chain(cert, key)
try:
    raw = socket.create_connection(("127.0.0.1", int(port)), 15)
    if first:
        raw.sendall(first[0].encode() + b"\r\n")
    with context.wrap_socket(raw, server_hostname=name) as tls:
        line = b""
        while not line.endswith(b"\n"):
            more = tls.recv(1)
            if not more:
                break
            line += more
        print(tls.version(), tls.selected_alpn_protocol(), line.decode(errors="replace").strip() or "closed")
except (OSError, ssl.SSLError) as error:
    print("refused:", error)

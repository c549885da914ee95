"""Sends one HTTP request, as it stands on standard input, to the API: request.py PORT CERT KEY CA NAME. Prints the answer."""
import socket, ssl, sys

port, cert, key, ca, name = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["http/1.1"])
context.load_cert_chain(cert, key)
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 15), server_hostname=name) as tls:
    tls.sendall(sys.stdin.buffer.read())
    while more := tls.recv(4096):
        sys.stdout.buffer.write(more)

"""A ProxyCommand as a load balancer is one: proxied.py PORT HEADER. Connects from 127.0.0.2, says the PROXY header, and carries what comes both ways."""
import os, socket, sys, threading

port, header = int(sys.argv[1]), sys.argv[2]
ours = socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.0.2", 0))
ours.settimeout(None)
ours.sendall(header.encode() + b"\r\n")


def onward():
    while data := os.read(0, 65536):
        ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)


threading.Thread(target=onward, daemon=True).start()
while data := ours.recv(65536):
    os.write(1, data)

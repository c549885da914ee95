"""NETCONF over TLS (RFC 7589) in front of a program: tls_relay.py CERT KEY CLIENT_CA PROGRAM.

Each connection must come with a certificate of CLIENT_CA and gets a PROGRAM of its own, whose standard input and output it is. Prints "port N", then
for each connection "client CN URI", or "refused WHY", and "over" when it has ended.
"""
import getpass
import os
import select
import socket
import ssl
import subprocess
import sys
import threading

cert, key, authority, program = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.load_verify_locations(authority)
context.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)


def serve(plain):
    try:
        secure = context.wrap_socket(plain, server_side=True)
        # With TLS 1.3 a client that turns away is seen only now.
        secure.settimeout(60)
    except OSError as error:
        print("refused", error, flush=True)
        return
    told = secure.getpeercert()
    name = [value for part in told["subject"] for key, value in part if key == "commonName"]
    uri = [value for kind, value in told.get("subjectAltName", ()) if kind == "URI"]
    print("client", *name, *uri, flush=True)
    # What sshd would have set.
    around = dict(os.environ, USER=getpass.getuser(), LOGNAME=getpass.getuser())
    child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=around)
    # An ssl object is not for two threads at once; each direction has a lock for as long as it takes.
    lock = threading.Lock()
    secure.setblocking(False)

    def down():
        while data := child.stdout.read1(65536):
            while data:
                try:
                    with lock:
                        data = data[secure.send(data):]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    wait(write=True)
                except OSError:
                    return
        try:
            secure.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def wait(write=False):
        select.select([] if write else [plain_fd], [plain_fd] if write else [], [], 1)

    plain_fd = secure.fileno()
    sender = threading.Thread(target=down, daemon=True)
    sender.start()
    while True:
        try:
            with lock:
                data = secure.recv(65536)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not sender.is_alive():
                break
            wait()
            continue
        except (OSError, ValueError):
            break
        if not data:
            break
        try:
            child.stdin.write(data)
            child.stdin.flush()
        except BrokenPipeError:
            # The program has ended the session itself.
            break
    child.terminate()
    child.wait()
    print("over", flush=True)


while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()

"""NETCONF over TLS (RFC 7589): netconf_tls.py IDENTITY_DIR HOST:PORT ELEMENT once|live|port.

`once` reads and closes, and fails when nothing was read; `live` subscribes and goes on until the connection ends; `port` is `once` on a port of
NETCONF's own, without ALPN.
"""
import os
import socket
import ssl
import sys

identity, address, element, what = sys.argv[1:]
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
END = b"]]>]]>"
context = ssl.create_default_context(cafile=os.path.join(identity, "../../ca/x509_ca.pem"))
context.check_hostname = False
context.load_cert_chain(os.path.join(identity, "cert.pem"), os.path.join(identity, "key.pem"))
if what != "port":
    context.set_alpn_protocols(["netconf"])
host, port = address.rsplit(":", 1)
name = element + ".sallyport.carrier.example"
try:
    sock = context.wrap_socket(socket.create_connection((host, int(port)), timeout=30), server_hostname=name)
    sock.settimeout(None)
except OSError as error:
    sys.exit("refused: %s" % error)
buffer = b""


def message():
    global buffer
    while END not in buffer:
        try:
            more = sock.recv(65536)
        except OSError as error:
            sys.exit("broken: %s" % error)
        if not more:
            sys.exit("closed")
        buffer += more
    whole, buffer = buffer.split(END, 1)
    print(whole.decode(), flush=True)
    return whole


def say(text):
    try:
        sock.sendall(text.encode() + END)
    except OSError as error:
        sys.exit("broken: %s" % error)


message()
say('<hello xmlns="%s"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>' % BASE)
if what == "live":
    say('<rpc xmlns="%s" message-id="1"><create-subscription xmlns="urn:ietf:params:xml:ns:netconf:notification:1.0"><stream>tick</stream></create-subscription></rpc>' % BASE)
    while True:
        message()
say('<rpc xmlns="%s" message-id="1"><get/></rpc>' % BASE)
seen = message()
say('<rpc xmlns="%s" message-id="2"><close-session/></rpc>' % BASE)
message()
sys.exit(b"<data" not in seen)

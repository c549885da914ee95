"""A WebSocket client: websocket.py PORT CERT KEY CA HOST PATH ORIGIN|-. Opens one, prints "open" or the status, then sends each line of its input as a
text message and prints what comes back, until the other side is gone: "closed"."""
import base64, hashlib, os, socket, ssl, struct, sys, threading

port, cert, key, ca, host, path, origin = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
context.set_alpn_protocols(["http/1.1"])
stream = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 60), server_hostname=host)
nonce = base64.b64encode(os.urandom(16)).decode()
lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
         f"Sec-WebSocket-Key: {nonce}", "Sec-WebSocket-Extensions: permessage-deflate", "X-Remote-User: root", "X-Forwarded-For: 10.0.0.1", "Cookie: a=b",
         "Authorization: Bearer stolen"] + ([] if origin == "-" else [f"Origin: {origin}"])
stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
source = stream.makefile("rb")
status = source.readline().split()[1].decode()
headers = {}
while (line := source.readline().strip()):
    name, value = line.decode().split(":", 1)
    headers[name.lower()] = value.strip()
if status != "101":
    print(status, flush=True)
    sys.exit(1)
accept = base64.b64encode(hashlib.sha1((nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
assert headers["sec-websocket-accept"] == accept and "sec-websocket-extensions" not in headers, headers
print("open", flush=True)


def receive():
    try:
        while head := source.read(2):
            length = head[1] & 127
            if length == 126:
                length = struct.unpack(">H", source.read(2))[0]
            print(source.read(length).decode(), flush=True)
    except OSError:
        pass
    print("closed", flush=True)
    os._exit(0)


threading.Thread(target=receive).start()
for line in sys.stdin:
    text = line.strip().encode()
    mask = os.urandom(4)
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(text))
    stream.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))

"""An element with an HTTPS service: https_element.py CERT KEY CLIENT_CA|- . Prints "port N", then a JSON line for each request: method, path,
headers, body, and the name in the client's certificate. What it answers depends on the last segment of the path."""
import base64, gzip, hashlib, http.server, json, ssl, sys, time

cert, key, authority = sys.argv[1:]


class Element(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300

    def log_message(self, *_):
        pass

    def send(self, status, body, *headers, kind="application/yang-data+json"):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in (("Content-Type", kind), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size).decode()
                self.rfile.readline()
            self.rfile.readline()
        subject = self.connection.getpeercert() or {}
        names = [value for part in subject.get("subject", ()) for name, value in part if name == "commonName"]
        seen = {"method": self.command, "path": self.path, "headers": self.headers.items(), "body": body, "client": names}
        print(json.dumps(seen), flush=True)
        last = self.path.split("?")[0].rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        special = getattr(self, "do_" + last.replace("-", "_"), None)
        if special and not last.isupper():
            return special()
        if self.command == "GET" and self.path.startswith("/v1/subscribers"):
            return self.subscriber(last)
        if self.command in ("PUT", "PATCH", "DELETE"):
            self.send_response(204)
            return self.end_headers()
        if self.command == "POST":
            return self.send(201, "", ("Location", f"https://{self.headers['Host']}{self.path}/new"))
        self.send(200, json.dumps({"test:reached": {"path": self.path}}), ("ETag", '"one"'))

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def start(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def do_ticks(self):
        """Events, until the other side is gone."""
        self.start("text/event-stream")
        number = 0
        while True:
            self.chunk(f'data: {{"event": "tick {number} reached"}}\n\n'.encode())
            number += 1
            time.sleep(0.05)

    def do_big(self):
        self.start("application/yang-data+json")
        for number in range(64):
            self.chunk(b"%04d" % number * 16384)
        self.wfile.write(b"0\r\n\r\n")

    def do_broken(self):
        self.start("application/yang-data+json")
        self.chunk(b"x" * 200000)
        self.close_connection = True
        self.connection.close()

    def do_echo(self):
        """A WebSocket that sends every message back."""
        if self.headers.get("Upgrade") != "websocket":
            return self.send(426, "")
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", base64.b64encode(accept).decode())):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            length = head[1] & 127
            if length == 126:
                length = int.from_bytes(self.rfile.read(2), "big")
            mask = self.rfile.read(4)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(length)))
            if text == b"bye":
                return
            size = bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2)
            self.wfile.write(b"\x81" + size + text)

    def do_silent(self):
        time.sleep(30)

    def do_elsewhere(self):
        self.send(302, "", ("Location", "https://evil.example/restconf/data"))

    def do_here(self):
        self.send(302, "", ("Location", f"https://{self.headers['Host']}/restconf/data/test:a"))

    def do_unauthorized(self):
        self.send(401, "who?", ("WWW-Authenticate", "Basic realm=element"))

    def do_talkative(self):
        self.send(200, "{}", ("Server", "secret-os/1.2"), ("Set-Cookie", "a=b"), ("Via", "1.1 inner"), ("X-Internal", "y"), ("Alt-Svc", 'h3=":443"'),
                  ("Strict-Transport-Security", "max-age=1"), ("ETag", '"two"'))

    def do_folded(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n b\r\n\r\n{}")

    def do_two_lengths(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")

    def subscriber(self, last):
        """A record; the last digits of its number choose what is wrong with the answer."""
        text = '{"id": "%s", "credit": 12345678901234567890.10, "imsi": "001010000000001", "sim": {"ki": "00AA11BB"}, "bills": [{"sum": 1, "iban": "X1"}, {"sum": 2, "iban": "X2"}]}' % last
        if last.endswith("991"):
            return self.send(200, gzip.compress(text.encode()), ("Content-Encoding", "gzip"), kind="application/json")
        if last.endswith("992"):
            return self.send(200, "<imsi>001010000000001</imsi>", kind="text/html")
        if last.endswith("993"):
            return self.send(200, '{"imsi": "001010000000001", "x": "%s"}' % ("x" * 300000), kind="application/json")
        if last.endswith("994"):
            return self.send(200, '{"imsi": "001010000000001"', kind="application/json")
        if last.endswith("995"):
            return self.send(500, '{"error": {"imsi": "001010000000001"}}', kind="application/problem+json")
        self.send(200, text, kind="application/json")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass


server = Server(("127.0.0.1", 0), Element)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.set_alpn_protocols(["http/1.1"])
if authority != "-":
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("port", server.server_address[1], flush=True)
server.serve_forever()

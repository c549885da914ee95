"""A NETCONF server (base:1.0) on standard input and output that does as it is told: netconf_odd.py KIND.

It answers every RPC with <ok/>, and notes each on its own file REQUESTS if that is set. Kinds: `good`, `wrong-id`, `unasked`, `doctype`,
`endless`, `no-hello`, `silent`, `broken`, `deep`, `notify`, `close`, `big`: ten MiB for get-config.
"""
import os
import re
import sys

kind = sys.argv[1]
noted = sys.argv[2] if len(sys.argv) > 2 else None
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
BIG = "".join("<row><number>%07d</number><text>%s</text></row>\n" % (number, "x" * 60) for number in range(105000)) if kind == "big" else ""
out, end = sys.stdout.buffer, b"]]>]]>"


def say(text):
    out.write(text.encode() + end)
    out.flush()


if kind == "no-hello":
    sys.stdin.buffer.read()
    sys.exit()
say('<hello xmlns="%s"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>'
    "<capability>urn:ietf:params:netconf:capability:url:1.0?scheme=file</capability></capabilities><session-id>4</session-id></hello>" % BASE)
buffer = b""
while True:
    more = os.read(0, 65536)
    if not more:
        sys.exit()
    buffer += more
    while end in buffer:
        message, buffer = buffer.split(end, 1)
        if b"<hello" in message:
            continue
        if noted:
            with open(noted, "ab") as file:
                file.write(message + b"\n")
        head = re.search(rb"<((?:\w+:)?)rpc\b([^>]*)>", message)
        attributes, prefix = head.group(2).decode(), head.group(1).decode()
        body = "<%srpc-reply%s><%sok/></%srpc-reply>" % (prefix, attributes, prefix, prefix)
        if b"<get>" in message or b"<get/>" in message:
            body = body.replace("<%sok/>" % prefix, '<%sdata><reached xmlns="urn:x">reached</reached></%sdata>' % (prefix, prefix))
        if kind == "big" and b"<get-config" in message:
            body = body.replace("<%sok/>" % prefix, '<%sdata><big xmlns="urn:x">%s</big></%sdata>' % (prefix, BIG, prefix))
        if kind == "wrong-id":
            body = re.sub(r'message-id="[^"]*"', 'message-id="another"', body)
        elif kind == "unasked":
            say(body)
        elif kind == "doctype":
            body = '<!DOCTYPE x [<!ENTITY y "z">]>' + body
        elif kind == "broken":
            body = body.replace("<ok/>", "<ok>")
        elif kind == "deep":
            body = body.replace("<ok/>", "<a>" * 5000 + "</a>" * 5000)
        elif kind == "silent":
            continue
        elif kind == "close":
            sys.exit()
        elif kind == "endless":
            out.write(body[:-20].encode())
            while True:
                out.write(b"<a>x</a>" * 10000)
        elif kind == "marker":
            body = body.replace("<ok/>", '<data><a b="]]>]]>"/></data>')
        say(body)
        if b"tick" in message:
            import threading
            import time

            def tick():
                while True:
                    say('<notification xmlns="urn:ietf:params:xml:ns:netconf:notification:1.0"><eventTime>2026-01-01T00:00:00Z</eventTime><tick xmlns="urn:x"/></notification>')
                    time.sleep(0.05)

            threading.Thread(target=tick, daemon=True).start()

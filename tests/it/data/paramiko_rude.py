"""Breaks the order of SSH on purpose: paramiko_rude.py PORT USER KEY HOW. Prints what the server let it do.

offer    offers a public key without a signature, then opens a channel as if logged in
channel  opens a channel before any login
exec     sends an exec request for a channel that nobody opened
"""
import socket, sys

import paramiko
from paramiko.common import MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST, cMSG_CHANNEL_OPEN

port, user, key_file, how = int(sys.argv[1]), *sys.argv[2:]
seen = []


class Watched(paramiko.Transport):
    def _log(self, level, msg, *args):
        pass


transport = Watched(socket.create_connection(("127.0.0.1", port), 10))
packetizer = transport.packetizer
read = packetizer.read_message


def spy():
    kind, message = read()
    seen.append(kind)
    return kind, message


packetizer.read_message = spy
transport.start_client(timeout=15)


def send(kind, *fields):
    message = paramiko.Message()
    message.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            message.add_int(field)
        else:
            message.add_string(field)
    transport._send_user_message(message)


if how == "offer":
    blob = open(key_file + "-cert.pub").read().split()
    import base64

    send(MSG_SERVICE_REQUEST, "ssh-userauth")
    send(MSG_USERAUTH_REQUEST, user, "ssh-connection", "publickey", False, blob[0], base64.b64decode(blob[1]))
if how in ("offer", "channel"):
    send(MSG_CHANNEL_OPEN, "session", 0, 1 << 20, 1 << 15)
send(MSG_CHANNEL_REQUEST, 0, "exec", True, "echo owned")
transport.join(15)
# 91 channel open confirmation, 94 data, 99 channel success, 52 login success
print("allowed" if {91, 94, 99, 52} & set(seen) else "nothing", "closed" if not transport.is_alive() else "open")

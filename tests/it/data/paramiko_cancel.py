"""Asks a gateway to cancel a listener by its address: paramiko_cancel.py PROXY USER KEY PORT. Prints `cancelled` or `refused`."""

import sys

import paramiko

proxy, user, key, port = sys.argv[1:]
transport = paramiko.Transport(paramiko.ProxyCommand(proxy))
transport.start_client(timeout=30)
transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
# Something is allowed first, so that there is a session.
channel = transport.open_session()
channel.exec_command("true")
channel.recv_exit_status()
answer = transport.global_request("cancel-tcpip-forward", ("127.0.0.1", int(port)), wait=True)
print("refused" if answer is None else "cancelled")
transport.close()

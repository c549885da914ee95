"""Logs in twice on one connection to the SSH door: paramiko_switch.py PORT USER BARE_KEY USER KEY_WITH_CERTIFICATE COMMAND.

The first login has a key without a certificate and must fail; the second is a good one. Prints what the command prints.
"""
import sys

import paramiko

port, first_user, bare, second_user, key, command = sys.argv[1:]
# The plain Transport asks for the service again before each login.
transport = paramiko.ServiceRequestingTransport(("127.0.0.1", int(port)))
transport.start_client(timeout=20)
transport.auth_timeout = 10


def login(user, key):
    """Paramiko sends the request before it makes the event it then waits for, so it can miss a quick answer: its own state tells."""
    try:
        transport.auth_publickey(user, key)
    except paramiko.AuthenticationException:
        if not transport.is_authenticated():
            raise


try:
    login(first_user, paramiko.Ed25519Key.from_private_key_file(bare))
    sys.exit("the first login succeeded")
except paramiko.SSHException as error:
    print("first:", type(error).__name__)
certified = paramiko.Ed25519Key.from_private_key_file(key)
certified.load_certificate(key + "-cert.pub")
login(second_user, certified)
channel = transport.open_session()
channel.exec_command(command)
print(channel.makefile("rb").read().decode().strip(), channel.recv_exit_status())

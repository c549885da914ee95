"""Runs one command with Paramiko, which never tries `none`: paramiko_run.py PROXY_COMMAND USER KEY KNOWN_HOSTS COMMAND.

Exits as the command did; 77 when the login is refused, 78 when the host key is not the one in KNOWN_HOSTS.
"""
import sys

import paramiko

proxy, user, key, known, command = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
try:
    client.connect(
        "linux-1", username=user, key_filename=key, sock=paramiko.ProxyCommand(proxy), allow_agent=False, look_for_keys=False, timeout=20
    )
except paramiko.AuthenticationException as error:
    print("refused:", error)
    sys.exit(77)
except paramiko.SSHException as error:
    print("not the host:", error)
    sys.exit(78)
channel = client.get_transport().open_session()
channel.exec_command(command)
out = channel.makefile("rb").read()
status = channel.recv_exit_status()
sys.stdout.buffer.write(out)
sys.stdout.flush()
client.close()
sys.exit(status)

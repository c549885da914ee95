"""Runs one command with Paramiko, which never tries `none`: paramiko_run.py PROXY_COMMAND USER KEY COMMAND. Exits as the command did."""
import sys

import paramiko

proxy, user, key, command = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
try:
    client.connect(
        "element", username=user, key_filename=key, sock=paramiko.ProxyCommand(proxy), allow_agent=False, look_for_keys=False, timeout=20
    )
except paramiko.AuthenticationException as error:
    print("refused:", error)
    sys.exit(77)
channel = client.get_transport().open_session()
channel.exec_command(command)
out = channel.makefile("rb").read()
status = channel.recv_exit_status()
sys.stdout.buffer.write(out)
sys.stdout.flush()
client.close()
sys.exit(status)

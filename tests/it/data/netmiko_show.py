"""Drives a router with Netmiko: netmiko_show.py PROXY_COMMAND USER KEY KNOWN_HOSTS DEVICE_TYPE COMMAND... Prints each output."""
import sys

import netmiko
import paramiko

proxy, user, key, known, device, *commands = sys.argv[1:]
connection = netmiko.ConnectHandler(
    device_type=device,
    host="router",
    username=user,
    use_keys=True,
    key_file=key,
    ssh_strict=True,
    alt_host_keys=True,
    alt_key_file=known,
    sock=paramiko.ProxyCommand(proxy),
    conn_timeout=30,
    fast_cli=False,
)
print("prompt", connection.find_prompt())
for command in commands:
    print("---", command)
    print(connection.send_config_set(command.split(";"), cmd_verify=False) if ";" in command else connection.send_command(command))
connection.disconnect()

"""An element that is not OpenSSH: asyncssh_server.py HOST_KEY CLIENT_KEY.pub [USER_CA.pub]. Prints its port.

Each command says "up" and waits for a signal; it tells which came and ends by the signal USR2 with a message, as RFC 4254 section 6.10 allows.
"""
import asyncio, sys

import asyncssh


async def handle(process):
    process.stdout.write("up\n")
    try:
        await process.stdin.read()
        process.exit(3)
    except asyncssh.SignalReceived as received:
        process.stdout.write(f"got {received.signal}\n")
        process.exit_with_signal("USR2", True, "dumped here", "en")
    except asyncssh.BreakReceived as received:
        process.stdout.write(f"break {received.msec}\n")
        process.exit(4)


async def main(host_key, client_key, *user_ca):
    lines = [open(client_key).read()] + ["cert-authority " + open(ca).read() for ca in user_ca]
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys("\n".join(lines)),
        process_factory=handle,
    )
    print("port", server.get_port(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

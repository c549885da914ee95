"""Sends a signal to a remote command and prints how it ended: asyncssh_signal.py CONFIG HOST SIGNAL."""
import asyncio, sys

import asyncssh


async def main(config, host, signal):
    async with asyncssh.connect(host, config=[config]) as connection:
        process = await connection.create_process("wait")
        print((await process.stdout.readline()).strip())
        process.send_signal(signal)
        done = await process.wait()
        print(done.stdout.strip(), done.exit_status, done.exit_signal)


asyncio.run(main(*sys.argv[1:]))

"""What a patient client sees of a command of odd_element.py: asyncssh_odd.py CONFIG HOST COMMAND.

deaf  sends until it is held up, then a window change and a signal
half  reads to the end of output and closes
"""
import asyncio, sys, time

import asyncssh

PATIENCE = 30


async def read(process, count=-1):
    reading = process.stdout.readline() if count == 1 else process.stdout.read()
    print((await asyncio.wait_for(reading, PATIENCE)).decode().strip())


async def deaf(process):
    await read(process, 1)
    process.stdin.write(bytes(16 << 20))
    waiting, since = process.channel.get_write_buffer_size(), time.monotonic()
    # A window may still come open by a few bytes at a time.
    while time.monotonic() < since + 1:
        await asyncio.sleep(0.05)
        if waiting - process.channel.get_write_buffer_size() > 1 << 16:
            waiting, since = process.channel.get_write_buffer_size(), time.monotonic()
    print("held up", waiting > 0)
    process.change_terminal_size(132, 50)
    await read(process, 1)
    process.send_signal("USR1")
    await read(process)
    print(process.exit_status)


async def half(process):
    await read(process)
    process.close()
    await asyncio.wait_for(process.wait_closed(), PATIENCE)
    print("closed", process.exit_status)


async def main(config, host, command):
    terminal = {"term_type": "vt100", "term_size": (80, 24)} if command == "deaf" else {}
    async with asyncssh.connect(host, config=[config], known_hosts=None) as connection:
        await globals()[command](await connection.create_process(command, encoding=None, **terminal))


asyncio.run(main(*sys.argv[1:]))

"""An element with bad manners: odd_element.py HOST_KEY CLIENT_KEY.pub USER_CA.pub. Prints its ports. What it does depends on the command:

deaf          reads nothing; tells which signal or window size came, and ends with a signal
half          says that its output has ended, gives no status, and waits for the client to close
silent        does not answer the request
overflow      grants more window than there is, many times; tells how much it was sent
extensions    announces extensions without end
disorder      says what belongs elsewhere
unasked       answers what nobody asked, on this channel and on others
flood         sends 32 MiB without minding the window
compression   tells what compression was agreed on
scp -f PATH   offers one file after another without reading the answers

`packed PORT` is one that has nothing but compression; `tiny PORT` takes packets of no bytes, `vast PORT` packets of any size.
"""
import asyncio, sys

import asyncssh
from asyncssh.packet import String, UInt32

MOST = 0xFFFFFFFF


class Session(asyncssh.SSHServerSession):
    def connection_made(self, chan):
        self.chan = chan
        self.writable = asyncio.Event()
        self.writable.set()

    def pty_requested(self, *_):
        return True

    def exec_requested(self, command):
        self.command = command
        # Neither yes nor no is no answer.
        return None if command == "silent" else True

    def session_started(self):
        if self.command == "deaf":
            # Reading starts when this returns.
            asyncio.get_running_loop().call_soon(self.chan.pause_reading)
            self.chan.write(b"up\n")
        elif self.command == "half":
            self.chan.write(b"out\n")
            self.chan.write_eof()
        elif self.command in ("overflow", "extensions", "disorder", "unasked", "flood", "compression"):
            getattr(self, self.command)(self.chan.get_connection())
        elif self.command.startswith("scp "):
            self.flood = asyncio.get_running_loop().create_task(self.offer())

    async def offer(self):
        self.chan.write(b"D0755 0 data\n")
        # One answer begins the copy, one takes the folder.
        while self.answers < 2:
            await asyncio.sleep(0.01)
        self.chan.pause_reading()
        while True:
            await self.writable.wait()
            self.chan.write(b"C0644 1 secret\n" * 16)
            await asyncio.sleep(0)

    def overflow(self, conn):
        for _ in range(64):
            self.chan.send_packet(93, UInt32(MOST))

    def extensions(self, conn):
        for _ in range(1000):
            conn.send_packet(7, UInt32(1), String(b"x" * 100), String(b"y" * 30000))
        self.chan.exit(0)

    def disorder(self, conn):
        for kind in (52, 6, 60, 31, 21, 30, 50, 5):
            conn.send_packet(kind, String(b"x" * 32))
        self.chan.exit(0)

    def unasked(self, conn):
        for kind in (99, 100, 99):
            self.chan.send_packet(kind)
        for channel in (7, 1000, MOST):
            conn.send_packet(91, UInt32(channel), UInt32(0), UInt32(MOST), UInt32(MOST))
            conn.send_packet(93, UInt32(channel), UInt32(MOST))
            conn.send_packet(94, UInt32(channel), String(b"x" * 1000))
            conn.send_packet(98, UInt32(channel), String(b"exit-status"), b"\0", UInt32(0))
        self.chan.write(b"done\n")
        self.chan.exit(0)

    def flood(self, conn):
        for _ in range(1024):
            self.chan.send_packet(94, String(b"x" * 32768))
        self.chan.exit(0)

    def compression(self, conn):
        for way in ("send", "recv"):
            self.chan.write(conn.get_extra_info(way + "_compression").encode() + b"\n")
        self.chan.exit(0)

    answers = 0

    def data_received(self, data, _):
        self.answers += len(data)

    def eof_received(self):
        if self.command == "overflow":
            self.chan.write(f"{self.answers}\n".encode())
            self.chan.exit(0)
        return True

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, _):
        self.writable.clear()

    def signal_received(self, signal):
        self.chan.write(f"got {signal}\n".encode())
        self.chan.exit(5)

    def terminal_size_changed(self, width, height, *_):
        self.chan.write(f"size {width} {height}\n".encode())


class Server(asyncssh.SSHServer):
    packet = 32768

    def connection_made(self, conn):
        self.conn = conn

    def session_requested(self):
        channel = self.conn.create_server_channel(encoding=None, window=1 << 16)
        channel._recv_pktsize = self.packet
        return channel, Session()


class Tiny(Server):
    packet = 0


class Vast(Server):
    packet = MOST


async def main(host_key, client_key, user_ca):
    lines = [open(client_key).read(), "cert-authority " + open(user_ca).read()]
    keys = {"server_host_keys": [host_key], "authorized_client_keys": asyncssh.import_authorized_keys("\n".join(lines))}
    packed = {"compression_algs": ["zlib@openssh.com", "zlib"]}
    for name, server, options in [("packed", Server, packed), ("tiny", Tiny, {}), ("vast", Vast, {}), ("port", Server, {})]:
        listening = await asyncssh.listen("127.0.0.1", 0, server_factory=server, **keys, **options)
        print(name, listening.get_port(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

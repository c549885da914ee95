"""An element with bad manners: odd_element.py HOST_KEY CLIENT_KEY.pub USER_CA.pub. Prints its port. What it does depends on the command:

deaf          reads nothing; tells which signal or window size came, and ends with a signal
half          says that its output has ended, gives no status, and waits for the client to close
silent        does not answer the request
scp -f PATH   offers one file after another without reading the answers
"""
import asyncio, sys

import asyncssh


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

    answers = 0

    def data_received(self, data, _):
        self.answers += len(data)

    def eof_received(self):
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
    def connection_made(self, conn):
        self.conn = conn

    def session_requested(self):
        return self.conn.create_server_channel(encoding=None, window=1 << 16), Session()


async def main(host_key, client_key, user_ca):
    lines = [open(client_key).read(), "cert-authority " + open(user_ca).read()]
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys("\n".join(lines)),
    )
    print("port", server.get_port(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

"""An element that wants a password: password_element.py HOST_KEY HOW SECRET. Prints its port. HOW is `password`, or `dialogue` for questions."""
import asyncio, sys

import asyncssh


class Server(asyncssh.SSHServer):
    def begin_auth(self, _):
        return True

    def password_auth_supported(self):
        return how == "password"

    def validate_password(self, _, password):
        return password == secret

    def kbdint_auth_supported(self):
        return how == "dialogue"

    def get_kbdint_challenge(self, *_):
        return "Login", "", "", [("Passcode for the lab: ", False)]

    def validate_kbdint_response(self, _, answers):
        return list(answers) == [secret]


async def process(process):
    process.stdout.write(f"{process.command} as {process.get_extra_info('username')}\n")
    process.exit(3)


async def main():
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key], process_factory=process)
    print("port", server.get_port(), flush=True)
    await asyncio.Event().wait()


host_key, how, secret = sys.argv[1:]
asyncio.run(main())

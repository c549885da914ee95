"""A client that means harm, or is only quick: hostile.py WAY USER HOW [ARGUMENT...]. Prints what it was allowed.

WAY is a ProxyCommand, or a port of loopback.

terminal           sets terminal modes that edit its bytes on their way, then reads /etc/passwd by sftp under a name below /var/log
standing FILE      opens FILE by sftp and reads it again and again, until that stops
undecided          sends without having said what it wants
vanish TIMES       asks for a command and is gone before the answer
empty PACKETS      says nothing many times
answer             runs a shell without a terminal and answers its prompt for a password
confirm            confirms a channel that it opened itself, and closes it: nothing may go on unseen
leave_early HOW FILE  types a command that writes FILE into a shell whose request was not answered yet, and leaves: HOW is `close` or `gone`
resize             asks for a shell in a terminal and changes its size before the answer
unused             asks for the agent, which it may use, and closes the channel without having used anything
guess              guesses a password, and the answer to a question that nobody asked
malformed          asks for commands and forwards that cannot be put to any policy
knock TIMES        asks for a command that it may not run
held               shakes hands and does not log in
channels N         opens N channels with commands, then one more after it has closed one
keys N             offers N keys that are nobody's
stall N FILE       lets N commands that read nothing stall, each with all that is taken for it; closes them and runs another when FILE is there
upload FOLDER N    sends N files of changing content, in small pieces and without waiting, by scp and by sftp
"""
import os, shlex, socket, struct, subprocess, sys, threading, time

import paramiko
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_OPEN_SUCCESS, cMSG_CHANNEL_REQUEST

way, user, how, *arguments = sys.argv[1:]
PATIENCE = 30
connections = []


def connect(login=True, kind=paramiko.Transport):
    if way.isdigit():
        ours = socket.create_connection(("127.0.0.1", int(way)), PATIENCE)
    else:
        ours, theirs = socket.socketpair()
        subprocess.Popen(shlex.split(way), stdin=theirs, stdout=theirs)
        theirs.close()
    transport = kind(ours)
    transport.start_client(timeout=PATIENCE)
    if login:
        transport.auth_none(user)
    connections.append((ours, transport))
    return transport


def leave():
    """Ends every connection: no more is sent, and what still comes is read."""
    for ours, _ in connections:
        try:
            ours.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The other end was quicker.
    for _, transport in connections:
        transport.join(PATIENCE)
    connections.clear()


def packet(kind, channel, *fields):
    message = paramiko.Message()
    message.add_byte(kind if isinstance(kind, bytes) else bytes([kind]))
    message.add_int(channel.remote_chanid)
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            message.add_int(field)
        else:
            message.add_string(field)
    return message


def request(channel, kind, *fields):
    """Sends a channel request and waits for its answer."""
    channel._event_pending()
    channel.transport._send_user_message(packet(cMSG_CHANNEL_REQUEST, channel, kind, True, *fields))
    channel.event.wait(PATIENCE)


def terminal():
    # Local flags, input flags and control characters: `E` erases, `~` and ^C end what is read at once.
    modes = [(code, 255) for code in (1, 2, 4, 7, 8, 9, 10, 12, 13, 14)] + [(3, 0x45), (5, 0x7E), (6, 0x03), (51, 1), (91, 1)]
    modes += [(code, 0) for code in (*range(30, 43), 50, *range(52, 57), 59, 60, 61, 62, 70, 71, 72)]
    channel = connect().open_session()
    channel.settimeout(PATIENCE)
    request(channel, "pty-req", "vt100", 80, 24, 0, 0, b"".join(struct.pack(">BI", *mode) for mode in modes) + b"\0")
    channel.invoke_subsystem("sftp")

    def framed(body):
        return struct.pack(">I", len(body)) + body

    def answer():
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            more = channel.recv(65536)
            if not more:
                return None
            data += more
        return data

    channel.sendall(framed(b"\x01" + struct.pack(">I", 3)))
    print("version", answer() is not None)
    opened = b"/var/log/" + b"E" * 9 + b"/" * 11
    channel.sendall(
        framed(b"\x03" + struct.pack(">I", 1) + framed(opened) + struct.pack(">II", 1, 0))
        + framed(b"\x11" + struct.pack(">I", 2) + framed(b"/var/log/" + b"E" * 30 + b"////////etc/passwd"))
        + framed(b"\x11" + struct.pack(">I", 4) + framed(b"/var/log/" + b"E" * 14 + b"~"))
    )
    got = answer()
    if got and got[4] == 102:
        handle = got[13 : 13 + struct.unpack(">I", got[9:13])[0]]
        channel.sendall(framed(b"\x05" + struct.pack(">I", 8) + framed(handle) + struct.pack(">QI", 0, 0x4003)))
        got = answer()
    print("answer", got)


def standing(file):
    handle = connect().open_sftp_client().open(file)
    handle.sftp.get_channel().settimeout(PATIENCE)
    handle.read(10)
    print("reading", flush=True)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            handle.seek(0)
            handle.read(10)
        except (EOFError, OSError, paramiko.SSHException) as error:
            print("stopped", repr(error))
            return
    print("was never stopped")


def undecided():
    channel = connect().open_session()
    channel.settimeout(PATIENCE)
    sent = 0
    try:
        while sent < 1 << 20:
            sent += channel.send(b"x" * 16384)
        channel.recv(1)
    except socket.timeout:
        print("kept")
    except OSError:
        pass
    print("closed" if channel.closed else "open", sent)


def vanish(times):
    for turn in range(int(times)):
        transport = connect()
        channel = transport.open_session()
        transport._send_user_message(packet(cMSG_CHANNEL_REQUEST, channel, "exec", False, f"echo {turn}"))
        if turn % 2:
            transport._send_user_message(packet(MSG_CHANNEL_CLOSE, channel))
        # Its answer says that all this was read; the session is opening.
        transport.global_request("keepalive@hostile", wait=True)
        leave()
    print("vanished", times)


def empty(packets):
    transport = connect()
    channel = transport.open_session()
    for _ in range(int(packets)):
        transport._send_user_message(packet(MSG_CHANNEL_DATA, channel, b""))
    # Its answer comes after all of them were taken.
    transport.global_request("keepalive@hostile", wait=True)
    print("sent", flush=True)
    threading.Event().wait(4 * PATIENCE)


def answer():
    channel = connect().open_session()
    channel.settimeout(PATIENCE)
    channel.invoke_shell()
    channel.sendall(b"printf 'Pass''word: '; read -r given; printf '<%s>\\n' \"${#given}\"\n")
    seen = b""
    while not seen.endswith(b"Password: ") and (more := channel.recv(1024)):
        seen += more
    channel.sendall(b"hunter2-Xyzzy\n")
    while not seen.endswith(b">\n") and (more := channel.recv(1024)):
        seen += more
    channel.sendall(b": typed-after-it\n")
    channel.shutdown_write()
    while more := channel.recv(1024):
        seen += more
    print(seen.decode())


def confirm():
    transport = connect()
    channel = transport.open_session()
    channel.settimeout(PATIENCE)
    channel.exec_command("echo up; exec sleep 86400")
    assert channel.recv(3) == b"up\n"
    transport._send_user_message(packet(MSG_CHANNEL_OPEN_SUCCESS, channel, channel.chanid, 1 << 20, 1 << 15))
    transport._send_user_message(packet(MSG_CHANNEL_CLOSE, channel))
    transport.join(PATIENCE)
    print("kept" if transport.is_alive() else "cut off")


def resize():
    channel = connect().open_session()
    channel.get_pty()
    channel._event_pending()
    channel.transport._send_user_message(packet(cMSG_CHANNEL_REQUEST, channel, "shell", True))
    channel.transport._send_user_message(packet(cMSG_CHANNEL_REQUEST, channel, "window-change", False, 132, 50, 0, 0))
    print("answered" if channel.event.wait(PATIENCE / 3) else "not answered")


def unused():
    transport = connect()
    channel = transport.open_session()
    request(channel, "auth-agent-req@openssh.com")
    channel.close()
    transport.global_request("keepalive@hostile", wait=True)
    print("closed")


def guess():
    for name in ("password", "dialogue"):
        transport = connect(login=False)
        try:
            if name == "password":
                transport.auth_password(user, "hunter2", fallback=False)
            else:
                transport.auth_interactive(user, lambda *_: ["hunter2"])
            print(name, "taken")
        except paramiko.SSHException:
            print(name, "refused")


def run(transport, command):
    channel = transport.open_session()
    channel.settimeout(PATIENCE)
    channel.exec_command(command)
    status = channel.recv_exit_status()
    channel.close()
    return status


def malformed():
    transport = connect()
    for command in (b"echo \xff", b"echo " + b"x" * 70000):
        print(run(transport, command))
    for destination in (("127.0.0.1", 22), ("a b", 80)):
        try:
            transport.open_channel("direct-tcpip", destination, ("127.0.0.1", 1), timeout=PATIENCE)
            print("opened")
        except paramiko.ChannelException:
            print("refused")
    try:
        transport.request_port_forward("a b", 80)
        print("listens")
    except paramiko.SSHException:
        print("refused")


def knock(times):
    transport = connect()
    print("denied", sum(run(transport, f"echo {turn}") == 126 for turn in range(int(times))))


def leave_early(how, file):
    transport = connect()
    channel = transport.open_session()
    transport._send_user_message(packet(cMSG_CHANNEL_REQUEST, channel, "shell", False))
    channel.sendall(f"echo ran > {shlex.quote(file)}\n".encode())
    channel.close()
    if how == "gone":
        leave()
    end = time.monotonic() + PATIENCE
    while not os.path.exists(file) and time.monotonic() < end:
        time.sleep(0.01)
    print("ran" if os.path.exists(file) else "lost")


def held():
    connect(login=False)
    print("held", flush=True)
    threading.Event().wait(4 * PATIENCE)


def channels(count):
    transport = connect()

    def opened(count):
        made = []
        for _ in range(count):
            try:
                channel = transport.open_session(timeout=PATIENCE)
                channel.settimeout(PATIENCE)
                channel.exec_command("echo up; cat")
                made.append(channel)
            except paramiko.ChannelException:
                pass
        print("opened", len(made), "refused", count - len(made))
        return made

    made = opened(int(count))
    for channel in made:
        channel.sendall(b"on\n")
    print("the others go on", all(channel.makefile().read(6) == b"up\non\n" for channel in made))
    made[0].shutdown_write()
    made[0].recv_exit_status()
    made[0].close()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            transport.open_session(timeout=PATIENCE)
            return print("one more")
        except paramiko.ChannelException:
            time.sleep(0.01)


def keys(count):
    # The plain Transport asks for the service again before each login.
    transport = connect(login=False, kind=paramiko.ServiceRequestingTransport)
    transport.auth_timeout = PATIENCE
    refused = 0
    while refused < int(count):
        try:
            transport.auth_publickey(user, paramiko.ECDSAKey.generate())
        except paramiko.AuthenticationException:
            # That the login failed, or that there is nobody any more to log in to.
            if not transport.is_active():
                break
            refused += 1
        except (EOFError, paramiko.SSHException):
            break
    print("cut off after", refused)


def stall(count, go_on):
    transport = connect()
    channels = [transport.open_session() for _ in range(int(count))]
    for channel in channels:
        channel.exec_command("deaf")
    for channel in channels:
        channel.settimeout(PATIENCE)
        assert channel.recv(3) == b"up\n"
        channel.setblocking(False)
    sent, still, piece = 0, time.monotonic(), bytes(32768)
    # Windows that were shut open by a little and very seldom.
    while time.monotonic() < still + 2:
        for channel in channels:
            try:
                while (now := channel.send(piece)) > 0:
                    sent += now
                    if now > 1024:
                        still = time.monotonic()
            except (BlockingIOError, socket.timeout):
                pass
        time.sleep(0.01)
    print("stalled", sent, flush=True)
    end = time.monotonic() + 4 * PATIENCE
    while not os.path.exists(go_on) and time.monotonic() < end:
        time.sleep(0.01)
    for channel in channels:
        channel.close()
    channel = transport.open_session()
    channel.settimeout(PATIENCE)
    channel.exec_command("half")
    print(channel.recv(4).decode().strip(), flush=True)


def upload(folder, count):
    transport = connect()
    for turn in range(int(count)):
        body = b"".join(b"%03d%04d\n" % (turn, piece) for piece in range(400))
        channel = transport.open_session()
        channel.settimeout(PATIENCE)
        channel.exec_command("scp -t " + shlex.quote(folder))
        channel.recv(1)
        channel.sendall(b"C0644 %d scp-%d\n" % (len(body), turn))
        for at in range(0, len(body), 8):
            channel.sendall(body[at : at + 8])
        channel.sendall(b"\0")
        assert channel.recv(1) == b"\0"
        if channel.recv(1) != b"\0":
            print("no confirmation of", turn)
        channel.shutdown_write()
        channel.recv_exit_status()
        channel.close()
    sftp = transport.open_sftp_client()
    for turn in range(int(count)):
        body = b"".join(b"%03d%04d\n" % (turn, piece) for piece in range(400))
        with sftp.open(f"{folder}/sftp-{turn}", "wb", bufsize=0) as file:
            file.set_pipelined(True)
            for at in range(0, len(body), 80):
                file.write(body[at : at + 80])
    print("sent", count)


globals()[how](*arguments)
leave()
sys.stdout.flush()
os._exit(0)

#!/usr/bin/env python3
"""What a WebSocket over HTTP/2 costs beside one over HTTP/1.1: memory while idle, CPU for an echo.

usage: bench/http2_cost.py [--binary FILE] [--sockets N] [--rounds N] [--runs N]

Starts the server on a free port, without TLS. First it opens N authenticated sessions that do
nothing, over HTTP/2 on connections of 16, and prints the growth of the server's resident memory for
each. Then it opens N WebSockets to `/echo`; in each round every one sends 100 bytes and gets them
back. Printed is the server's CPU time for each message, and this client's. "at once" means that
the messages of the 16 streams of a connection leave in one write, "apart" in one each.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import pathlib
import resource
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Sockets of one HTTP/2 connection: the server's default limit.
STREAMS = 16
WARM_UP = 320
PAYLOAD = b"x" * 100
# Masked by zeros, which is no change.
MESSAGE = bytes([0x81, 0x80 | len(PAYLOAD), 0, 0, 0, 0]) + PAYLOAD
ECHO_BYTES = 2 + len(PAYLOAD)
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_HEADERS = 1, 4
WINDOW_MAX = (1 << 31) - 1


def token(secret, user):
    """A JSON Web Token (HS256) that holds for an hour."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    now = int(time.time())
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"sub": user, "iat": now, "exp": now + 3600}).encode())
    signature = hmac.new(secret, head + b"." + body, hashlib.sha256).digest()
    return b".".join([head, body, part(signature)]).decode()


def dial(port):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


class One:
    """A WebSocket over HTTP/1.1."""

    def __init__(self, port, path, bearers):
        self.stream = dial(port)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {bearers[0]}\r\n\r\n"
        )
        self.stream.sendall(request.encode())
        self.got = b""
        wanted = b'"connected"' if path == "/ws" else b"\r\n\r\n"
        while wanted not in self.got:
            self.got += receive(self.stream)
        if not self.got.startswith(b"HTTP/1.1 101 "):
            raise SystemExit(f"refused: {self.got!r}")

    def send(self, _apart):
        self.stream.sendall(MESSAGE)

    def await_echoes(self):
        left = ECHO_BYTES
        while left > 0:
            left -= len(receive(self.stream))


class Many:
    """A connection of HTTP/2 with a WebSocket for each bearer (RFC 8441, RFC 9113)."""

    def __init__(self, port, path, bearers):
        self.stream = dial(port)
        self.rest = b""
        self.data = b""
        self.ids = range(1, 2 * len(bearers), 2)
        self.answered = 0
        window = struct.pack(">HI", 4, WINDOW_MAX)
        more = struct.pack(">I", WINDOW_MAX - 65_535)
        self.stream.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, window)
            + frame(WINDOW_UPDATE, 0, 0, more))
        for number, bearer in zip(self.ids, bearers):
            fields = [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                (":path", path), (":authority", f"127.0.0.1:{port}"),
                ("sec-websocket-version", "13"), ("authorization", f"Bearer {bearer}"),
            ]
            block = b"".join(literal(name, value) for name, value in fields)
            self.stream.sendall(frame(HEADERS, END_HEADERS, number, block))
        while self.answered < len(bearers):
            self.read()
        while path == "/ws" and self.data.count(b'"connected"') < len(bearers):
            self.read()
        self.data = b""
        frames = [frame(DATA, 0, number, MESSAGE) for number in self.ids]
        self.apart, self.at_once = frames, [b"".join(frames)]

    def send(self, apart):
        for part in self.apart if apart else self.at_once:
            self.stream.sendall(part)

    def await_echoes(self):
        while len(self.data) < ECHO_BYTES * len(self.ids):
            self.read()
        self.data = b""

    def read(self):
        """Takes what has come: the bytes of all streams together."""
        self.rest += receive(self.stream)
        at = 0
        while len(self.rest) - at >= 9:
            length = int.from_bytes(self.rest[at:at + 3], "big")
            kind, flags = self.rest[at + 3], self.rest[at + 4]
            if len(self.rest) - at < 9 + length:
                break
            payload = self.rest[at + 9:at + 9 + length]
            at += 9 + length
            if kind == DATA:
                self.data += payload
            elif kind == HEADERS:
                # 0x88 is `:status: 200` (RFC 7541, appendix A).
                if payload[:1] != b"\x88":
                    raise SystemExit(f"refused: {payload!r}")
                self.answered += 1
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.stream.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind in (RST_STREAM, GOAWAY):
                raise SystemExit(f"ended: {kind} {payload!r}")
        self.rest = self.rest[at:]


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A field that is not indexed, without compression (RFC 7541 §6.2.2)."""
    def string(text):
        length = len(text)
        if length < 127:
            return bytes([length]) + text.encode()
        length -= 127
        prefix = [127]
        while length >= 128:
            prefix.append(length % 128 + 128)
            length //= 128
        return bytes([*prefix, length]) + text.encode()
    return b"\0" + string(name) + string(value)


def receive(stream):
    more = stream.recv(1 << 16)
    if not more:
        raise SystemExit("closed")
    return more


class Server:
    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory()
        data = pathlib.Path(self.folder.name) / "data"
        environment = dict(
            os.environ, HUBBUB_LIMITS_PING_INTERVAL_MS="3600000", HUBBUB_ECHO_ENABLED="true",
            HUBBUB_LOG_LEVEL="warn")
        command = [binary, "serve", "--bind", "127.0.0.1:0", "--data-dir", str(data)]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.secret = (data / "secret").read_bytes().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def open(self, way, path, sockets, name):
        """Connections that have so many WebSockets together."""
        each = 1 if way is One else STREAMS
        return [
            way(self.port, path, [token(self.secret, f"{name}{n + i}") for i in range(each)])
            for n in range(0, sockets, each)
        ]

    def resident(self):
        """Bytes of resident memory that are not files."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("no RssAnon")

    def cpu(self):
        """Seconds of CPU time, of the system's as well."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy():
    """Seconds of CPU time that the whole machine spent."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    idle = int(fields[3]) + int(fields[4])
    return (sum(map(int, fields[:8])) - idle) / os.sysconf("SC_CLK_TCK")


def idle(binary, way, sockets):
    with Server(binary) as server:
        warm = server.open(way, "/ws", WARM_UP, "w")
        time.sleep(3)
        before = server.resident()
        held = server.open(way, "/ws", sockets, "u")
        time.sleep(5)
        each = (server.resident() - before) / (len(held) * len(getattr(held[0], "ids", "1")))
        print(f"idle  {NAMES[way]:9} {each:8.0f} bytes each on {len(held)} connections"
              f" beyond {len(warm)}", flush=True)


def echo(binary, way, sockets, rounds, apart):
    with Server(binary) as server:
        held = server.open(way, "/echo", sockets, "u")
        messages = rounds * len(held) * len(getattr(held[0], "ids", "1"))
        for warm in (True, False):
            before = server.cpu(), time.process_time(), busy(), time.monotonic()
            for _ in range(max(1, rounds // 10) if warm else rounds):
                for connection in held:
                    connection.send(apart)
                for connection in held:
                    connection.await_echoes()
            after = server.cpu(), time.process_time(), busy(), time.monotonic()
        ours, client, all_of_it, took = (b - a for a, b in zip(before, after))
        others = all_of_it - ours - client
        how = "apart" if apart else "at once"
        print(f"echo  {NAMES[way]:9} {how:8} {ours / messages * 1e6:6.2f} us of CPU each"
              f" (this client {client / messages * 1e6:.2f} us; {messages / took:.0f}/s;"
              f" others had {others / took:.2f} of {os.cpu_count()} cores)", flush=True)


NAMES = {One: "HTTP/1.1", Many: "HTTP/2"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=str(target / "release/hubbub"))
    parser.add_argument("--sockets", type=int, default=1008)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for _ in range(options.runs):
        for way in (One, Many):
            idle(options.binary, way, options.sockets)
        for way, apart in ((One, True), (Many, True), (Many, False)):
            echo(options.binary, way, options.sockets, options.rounds, apart)


main()

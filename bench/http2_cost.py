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
import os
import pathlib
import socket
import struct
import time

import measured

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


def dial(port):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


class One:
    """A WebSocket over HTTP/1.1."""

    def __init__(self, port, path, bearers):
        self.stream = dial(port)
        self.stream.sendall(measured.upgrade(port, path, bearers[0]))
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


def start(binary):
    return measured.Server(binary, HUBBUB_ECHO_ENABLED="true", HUBBUB_LOG_LEVEL="warn")


def open_all(server, way, path, sockets, name):
    """Connections that have so many WebSockets together."""
    each = 1 if way is One else STREAMS
    return [
        way(server.port, path, [server.token(f"{name}{n + i}") for i in range(each)])
        for n in range(0, sockets, each)
    ]


def busy():
    """Seconds of CPU time that the whole machine spent."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    idle = int(fields[3]) + int(fields[4])
    return (sum(map(int, fields[:8])) - idle) / os.sysconf("SC_CLK_TCK")


def idle(binary, way, sockets):
    with start(binary) as server:
        warm = open_all(server, way, "/ws", WARM_UP, "w")
        time.sleep(3)
        before = server.resident()
        held = open_all(server, way, "/ws", sockets, "u")
        time.sleep(5)
        each = (server.resident() - before) / (len(held) * len(getattr(held[0], "ids", "1")))
        print(f"idle  {NAMES[way]:9} {each:8.0f} bytes each on {len(held)} connections"
              f" beyond {len(warm)}", flush=True)


def echo(binary, way, sockets, rounds, apart):
    with start(binary) as server:
        held = open_all(server, way, "/echo", sockets, "u")
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
    parser.add_argument("--binary", default=measured.default_binary())
    parser.add_argument("--sockets", type=int, default=1008)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    measured.allow_all_descriptors()
    for _ in range(options.runs):
        for way in (One, Many):
            idle(options.binary, way, options.sockets)
        for way, apart in ((One, True), (Many, True), (Many, False)):
            echo(options.binary, way, options.sockets, options.rounds, apart)


main()

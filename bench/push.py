#!/usr/bin/env python3
"""One push to everyone: how long until each of 10,000 connected users has it.

    bench/push.py [--users 10000] [--pushes 10] [--server target/release/hubbub]

Starts the server with one shard on CPU 0 and reads on CPU 1, needs no package, and leaves nothing behind. A time is
from before the push is written to after its event was read, so it includes this reader's own work.
"""

import argparse, base64, hashlib, hmac, json, os, resource, select, socket, struct, subprocess, tempfile, time


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(secret, user, roles):
    now = int(time.time())
    claims = {"sub": user, "roles": roles, "iat": now, "exp": now + 3600}
    head = encoded(b'{"alg":"HS256","typ":"JWT"}') + b"." + encoded(json.dumps(claims).encode())
    return (head + b"." + encoded(hmac.new(secret, head, hashlib.sha256).digest())).decode()


def connect(address, bearer):
    sock = socket.create_connection(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {bearer}\r\n\r\n".encode()
    )
    seen = b""
    while b'"type":"connected"' not in seen:
        more = sock.recv(65536)
        assert more, f"closed: {seen[:300]}"
        seen += more
    return sock


def say(sock, kind, payload):
    data = json.dumps({"type": kind, "id": "p", "payload": payload}).encode()
    head = struct.pack("!BB", 0x81, 0x80 | len(data)) if len(data) < 126 else struct.pack("!BBH", 0x81, 0xFE, len(data))
    sock.sendall(head + b"\0\0\0\0" + data)


def cpu_ms(process):
    """What the server has used of its core."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")


def measure(poll, users, pusher, mark, durable):
    """Milliseconds until each user had the push."""
    waiting, took, buffer = set(users), [], {}
    data = {"mark": mark, "text": "x" * 100}
    began = time.perf_counter()
    say(pusher, "push", {"to": "all", "type": "notification", "data": data, "durable": durable})
    wanted = f'"mark": "{mark}"'.encode()
    while waiting and time.perf_counter() - began < 10:
        for fd, _ in poll.poll(1):
            buffer[fd] = buffer.get(fd, b"") + users[fd].recv(65536)
            if fd in waiting and wanted in buffer[fd]:
                waiting.discard(fd)
                took.append((time.perf_counter() - began) * 1e3)
    assert not waiting, f"{len(waiting)} never got it"
    return sorted(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--pushes", type=int, default=10)
    parser.add_argument("--server", default="target/release/hubbub")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as data:
        config = {"PUSH_SEND": "role:backend", "SERVER_SHARDS": "1", "LOG_LEVEL": "warn"}
        environment = os.environ | {f"HUBBUB_{key}": value for key, value in config.items()}
        command = ["taskset", "-c", "0", options.server, "serve", "--bind", "127.0.0.1:0", "--data-dir", data]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            os.sched_setaffinity(0, {1})
            host, port = server.stdout.readline().removeprefix("listening on ").strip().rsplit(":", 1)
            with open(f"{data}/secret", "rb") as file:
                secret = file.read().strip()
            began = time.perf_counter()
            poll, users = select.epoll(), {}
            for n in range(options.users):
                sock = connect((host, int(port)), token(secret, f"u{n}", []))
                sock.setblocking(False)
                users[sock.fileno()] = sock
                poll.register(sock.fileno(), select.EPOLLIN)
            print(f"{options.users} users are there after {time.perf_counter() - began:.1f} s")
            pusher = connect((host, int(port)), token(secret, "backend", ["backend"]))
            for durable in (False, True):
                runs, used = [], cpu_ms(server)
                for n in range(options.pushes):
                    runs.append(measure(poll, users, pusher, f"{durable}-{n}", durable))
                    time.sleep(0.2)
                at = lambda part: sorted(run[int((len(run) - 1) * part)] for run in runs)
                p50, p99, last = at(0.5), at(0.99), at(1.0)
                middle = len(runs) // 2
                print(
                    f"{'durable' if durable else 'volatile'}: p50 {p50[middle]:.1f} ms, p99 {p99[middle]:.1f} ms "
                    f"(worst push {p99[-1]:.1f}), the last user {last[middle]:.1f} ms; {len(runs)} pushes, "
                    f"each {(cpu_ms(server) - used) / len(runs):.0f} ms of the server's core"
                )
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()

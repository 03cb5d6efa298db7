#!/usr/bin/env python3
"""A recovery storm: 10,000 subscribers come back with their positions at once.

    bench/recovery.py [--users 10000] [--channels 100] [--missed 50] [--server target/release/hubbub]

Starts the server with one shard on CPU 0 and reads on CPU 1, needs no package, and leaves nothing behind. All users
have connected again; then each says where it was in its channel and gets what it missed, while somebody goes on
publishing. Every answer is looked at: recovered, and as many as were missed. The times include this reader's own
work; the server's is told apart. At last it pages through who is on a channel that all of them are on.
"""

import argparse, json, os, resource, select, subprocess, tempfile, time

from push import connect, cpu_ms, say, token

CONFIG = """
[server]
shards = 1
[log]
level = "warn"
[limits]
commands_per_second = 1000000
commands_burst = 1000000
[namespaces.news]
subscribe = "everyone"
publish = "everyone"
presence = "everyone"
history_size = 1000
recover = true
track_presence = true
join_leave = true
"""


def frames(buffer):
    """The texts of whole frames, and what is left."""
    texts = []
    while len(buffer) >= 2:
        length, start = buffer[1] & 127, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + length:
            break
        texts.append(bytes(buffer[start : start + length]))
        buffer = buffer[start + length :]
    return texts, buffer


def ask(sock, kind, payload):
    """A command and its answer, one at a time."""
    say(sock, kind, payload)
    buffer = b""
    while True:
        buffer += sock.recv(1 << 20)
        texts, buffer = frames(buffer)
        for text in texts:
            message = json.loads(text)
            if message.get("id") == "p":
                assert message["type"] == "ack", text
                return message["payload"]


def storm(poll, users, wanted, publisher):
    """Milliseconds until each user had its answer. `wanted`: what each asks, by its descriptor."""
    waiting, took, buffer, checked = set(users), [], {}, 0
    began = time.perf_counter()
    for fd, (channel, position, _) in wanted.items():
        say(users[fd], "subscribe", {"channel": channel, "recover": position})
        if fd % 100 == 0:
            say(publisher, "publish", {"channel": channel, "data": "meanwhile"})
    while waiting and time.perf_counter() - began < 60:
        for fd, _ in poll.poll(1):
            texts, buffer[fd] = frames(buffer.get(fd, b"") + users[fd].recv(1 << 18))
            for text in texts:
                if fd in waiting and b'"id":"p"' in text:
                    waiting.discard(fd)
                    took.append((time.perf_counter() - began) * 1e3)
                    answer = json.loads(text)["payload"]
                    assert answer["recovered"], answer
                    assert len(answer["publications"]) == answer["offset"] - wanted[fd][1]["offset"] >= wanted[fd][2]
                    checked += 1
    assert not waiting and checked == len(users), f"{len(waiting)} got no answer"
    return sorted(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=100)
    parser.add_argument("--missed", type=int, default=50)
    parser.add_argument("--server", default="target/release/hubbub")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as data:
        with open(f"{data}/hubbub.toml", "w") as file:
            file.write(CONFIG)
        command = ["taskset", "-c", "0", options.server, "serve", "--bind", "127.0.0.1:0", "--data-dir", data]
        command += ["--config", f"{data}/hubbub.toml"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            os.sched_setaffinity(0, {1})
            host, port = server.stdout.readline().removeprefix("listening on ").strip().rsplit(":", 1)
            with open(f"{data}/secret", "rb") as file:
                secret = file.read().strip()
            open_one = lambda user: connect((host, int(port)), token(secret, user, []))
            publisher = open_one("publisher")
            names = [f"news:{n}" for n in range(options.channels)]
            epochs = {}
            for name in names:
                epochs[name] = ask(publisher, "subscribe", {"channel": name})["epoch"]
                ask(publisher, "unsubscribe", {"channel": name})
            for n in range(options.missed):
                for name in names:
                    ask(publisher, "publish", {"channel": name, "data": {"n": n, "text": "x" * 100}})
            publisher.setblocking(False)
            poll, users, wanted = select.epoll(), {}, {}
            for n in range(options.users):
                sock = open_one(f"u{n}")
                sock.setblocking(False)
                fd = sock.fileno()
                users[fd] = sock
                poll.register(fd, select.EPOLLIN)
                name = names[n % len(names)]
                wanted[fd] = (name, {"offset": 0, "epoch": epochs[name]}, options.missed)
            used = cpu_ms(server)
            took = storm(poll, users, wanted, publisher)
            used = cpu_ms(server) - used
            at = lambda part: took[int((len(took) - 1) * part)]
            print(
                f"{options.users} recoveries of {options.missed} publications, {options.channels} channels: "
                f"p50 {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms, the last {took[-1]:.0f} ms; "
                f"{used:.0f} ms of the server's core, {used * 1e3 / options.users:.0f} us each"
            )
            crowd(poll, users, open_one("asker"), server)
        finally:
            server.kill()
            server.wait()


def crowd(poll, users, asker, server):
    """All users on one channel, and who is there."""
    used = cpu_ms(server)
    for sock in users.values():
        say(sock, "subscribe", {"channel": "news:crowd"})
    while (total := ask(asker, "channel_presence", {"channel": "news:crowd", "limit": 1})["total"]) < len(users):
        for fd, _ in poll.poll(0.01):
            users[fd].recv(1 << 18)
    joined = cpu_ms(server) - used
    began, used, after, seen = time.perf_counter(), cpu_ms(server), None, 0
    for _ in range(10):
        after, more = None, True
        while more:
            page = ask(asker, "channel_presence", {"channel": "news:crowd", "limit": 1000} | ({"after": after} if after else {}))
            seen, after, more = seen + len(page["users"]), page["users"][-1]["user"], page["more"]
    assert seen == 10 * total, seen
    print(
        f"a channel of {total} users: {joined:.0f} ms of the server's core for all to come; all of them read in pages "
        f"of 1000 in {(time.perf_counter() - began) * 100:.0f} ms, {(cpu_ms(server) - used) / 10:.1f} ms of the server's core"
    )


main()

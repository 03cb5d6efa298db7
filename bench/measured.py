"""A server of its own for a measurement: started on a free port, asked what it costs, ended.

Shared by the measurements that need a client of their own (`http2_cost.py`, `idle_tls.py`); those
with the load generator are in `bench/run`.
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def default_binary():
    """Where `cargo build --release` puts the server."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "release/hubbub")


def allow_all_descriptors():
    """Raises this process's soft limit of open files to the hard one."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def token(secret, user):
    """A JSON Web Token (HS256) that holds for an hour."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    now = int(time.time())
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"sub": user, "iat": now, "exp": now + 3600}).encode())
    signature = hmac.new(secret, head + b"." + body, hashlib.sha256).digest()
    return b".".join([head, body, part(signature)]).decode()


def upgrade(port, path, bearer):
    """The request that opens a WebSocket over HTTP/1.1 (RFC 6455 §4.1)."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    ).encode()


class Server:
    """`hubbub serve` with a data directory that goes with it; `settings` are its environment."""

    def __init__(self, binary, **settings):
        self.folder = tempfile.TemporaryDirectory()
        data = pathlib.Path(self.folder.name) / "data"
        # No ping comes while connections are counted as idle.
        environment = dict(os.environ, HUBBUB_LIMITS_PING_INTERVAL_MS="3600000", **settings)
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

    def token(self, user):
        """A token that this server takes."""
        return token(self.secret, user)

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

#!/usr/bin/env python3
"""What an idle connection costs over TLS and without: resident memory of the server for each.

usage: bench/idle_tls.py [--binary FILE] [--conns N] [--versions 1.3,1.2]

Starts the server on a free port with a certificate of its own making (needs openssl), warms it up,
opens N authenticated sessions that then do nothing, and prints the growth of the server's resident
memory for each of them. Each line is a server of its own. The first is without TLS.
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
import ssl
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM_UP = 1000


def token(secret, user):
    """A JSON Web Token (HS256) that holds for an hour."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    now = int(time.time())
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"sub": user, "iat": now, "exp": now + 3600}).encode())
    signature = hmac.new(secret, head + b"." + body, hashlib.sha256).digest()
    return b".".join([head, body, part(signature)]).decode()


def connect(port, context, bearer):
    """A session; returns once it was greeted."""
    stream = socket.create_connection(("127.0.0.1", port))
    if context:
        stream = context.wrap_socket(stream)
    request = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
    stream.sendall(request.encode())
    got = b""
    while b'"connected"' not in got:
        more = stream.recv(4096)
        if not more:
            raise SystemExit(f"refused: {got!r}")
        got += more
    return stream


def resident(pid):
    """Bytes of resident memory that are not files."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no RssAnon")


def measure(binary, conns, version, folder):
    data = pathlib.Path(folder) / f"data-{version}"
    environment = dict(os.environ, HUBBUB_LIMITS_PING_INTERVAL_MS="3600000")
    context = None
    if version:
        environment["HUBBUB_TLS_CERTIFICATE_FILE"] = f"{folder}/certificate.pem"
        environment["HUBBUB_TLS_KEY_FILE"] = f"{folder}/key.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = {
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    command = [binary, "serve", "--bind", "127.0.0.1:0", "--data-dir", str(data)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        secret = (data / "secret").read_bytes().strip()
        warm = [connect(port, context, token(secret, f"w{n}")) for n in range(WARM_UP)]
        time.sleep(3)
        before = resident(server.pid)
        began = time.monotonic()
        held = [connect(port, context, token(secret, f"u{n}")) for n in range(conns)]
        took = time.monotonic() - began
        time.sleep(5)
        each = (resident(server.pid) - before) / conns
        name = f"TLS {version}" if version else "plain"
        print(f"{name:8} {each:8.0f} bytes each of {len(held)} beyond {len(warm)}"
              f" ({conns / took:.0f} opened/s, one at a time)", flush=True)
        return each
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=str(target / "release/hubbub"))
    parser.add_argument("--conns", type=int, default=5000)
    parser.add_argument("--versions", default="1.3,1.2")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem",
             "-out", f"{folder}/certificate.pem"], check=True, capture_output=True)
        plain = measure(options.binary, options.conns, "", folder)
        for version in options.versions.split(","):
            above = measure(options.binary, options.conns, version, folder) - plain
            print(f"         {above:8.0f} bytes above plain")


main()

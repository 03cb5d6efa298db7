#!/usr/bin/env python3
"""What an idle connection costs over TLS and without: resident memory of the server for each.

usage: bench/idle_tls.py [--binary FILE] [--conns N] [--versions 1.3,1.2]

Starts the server on a free port with a certificate of its own making (needs openssl), warms it up,
opens N authenticated sessions that then do nothing, and prints the growth of the server's resident
memory for each of them. Each line is a server of its own. The first is without TLS.
"""
import argparse
import socket
import ssl
import subprocess
import tempfile
import time

import measured

WARM_UP = 1000


def connect(port, context, bearer):
    """A session; returns once it was greeted."""
    stream = socket.create_connection(("127.0.0.1", port))
    if context:
        stream = context.wrap_socket(stream)
    stream.sendall(measured.upgrade(port, "/ws", bearer))
    got = b""
    while b'"connected"' not in got:
        more = stream.recv(4096)
        if not more:
            raise SystemExit(f"refused: {got!r}")
        got += more
    return stream


def measure(binary, conns, version, folder):
    settings = {}
    context = None
    if version:
        settings["HUBBUB_TLS_CERTIFICATE_FILE"] = f"{folder}/certificate.pem"
        settings["HUBBUB_TLS_KEY_FILE"] = f"{folder}/key.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = {
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    with measured.Server(binary, **settings) as server:
        def connect_all(count, name):
            return [connect(server.port, context, server.token(f"{name}{n}")) for n in range(count)]
        warm = connect_all(WARM_UP, "w")
        time.sleep(3)
        before = server.resident()
        began = time.monotonic()
        held = connect_all(conns, "u")
        took = time.monotonic() - began
        time.sleep(5)
        each = (server.resident() - before) / conns
        name = f"TLS {version}" if version else "plain"
        print(f"{name:8} {each:8.0f} bytes each of {len(held)} beyond {len(warm)}"
              f" ({conns / took:.0f} opened/s, one at a time)", flush=True)
        return each


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=measured.default_binary())
    parser.add_argument("--conns", type=int, default=5000)
    parser.add_argument("--versions", default="1.3,1.2")
    options = parser.parse_args()
    measured.allow_all_descriptors()
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

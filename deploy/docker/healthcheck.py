#!/usr/local/bin/python -IS
"""`healthcheck PATH`: exit code 0 if the role in this container answers PATH with 200.

A plain socket, since this runs every few seconds: an HTTP client takes five times as long to import.
"""

import os
import socket
import sys

TIMEOUT_SECONDS = 4


def main(path: str) -> int:
    host = os.environ.get("BACKHAUL_HOST") or "127.0.0.1"
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    port = int(os.environ.get("BACKHAUL_PORT") or 8080)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        print(f"{host}:{port} does not answer: {error}")
        return 1
    print(answer.partition(b"\r\n\r\n")[2].decode(errors="replace"))
    return 0 if answer.split(b" ", 2)[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "/readyz"))

"""`users.py URL FOLDER`: brings the users of RabbitMQ, their passwords and rights to what FOLDER/users.json says.

RabbitMQ itself reads the file only when it starts. Users whose name begins with `backhaul-` belong to the file: those
that it does not name any more are deleted. All others are let be. URL is that of the management API.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

OPERATOR = "operator"
OURS = "backhaul-"
PATIENCE_SECONDS = 30.0


def main(url: str, folder: Path) -> None:
    definitions = json.loads((folder / "users.json").read_text())
    named = {user["name"] for user in definitions["users"]}
    password = (folder / OPERATOR).read_text().strip()
    with httpx.Client(base_url=url, auth=(OPERATOR, password), timeout=PATIENCE_SECONDS, trust_env=False) as http:
        there = {user["name"] for user in ask(http, "GET", "/api/users").json()}
        ask(http, "POST", "/api/definitions", definitions)
        for name in sorted(there - named):
            if name.startswith(OURS):
                ask(http, "DELETE", f"/api/users/{quote(name, safe='')}")
                print(f"the user {name} is deleted: users.json does not name it")
    print(f"the broker knows the {len(named)} users of users.json")


def ask(http: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    """The answer, once the API is there: a node may listen for AMQP before it does."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = http.request(method, path, json=body)
        except httpx.TransportError as error:
            if time.monotonic() > until:
                sys.exit(f"users: the management API at {http.base_url} does not answer ({error}): look at its log")
            time.sleep(0.5)
        else:
            break
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        sys.exit(
            f"users: RabbitMQ does not know the password of {OPERATOR} that is kept: "
            "`docker compose restart rabbitmq` has it read the file of users anew, then repeat `make up`"
        )
    if not answer.is_success:
        sys.exit(f"users: RabbitMQ refuses {method} {path}: {answer.text.strip()}: look at its log")
    return answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

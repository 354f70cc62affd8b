"""`passwords.py FOLDER USERS UID`: makes the secrets of this deployment, each once, in one subfolder for each reader.

The users of RabbitMQ are those of the file USERS (deploy/rabbitmq/users.json), each with a password of its own, and one
for people. UID is who may write the keys of the API, which are made later.
"""

import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

ROLES = ("deploy", "gateway", "ledger")
WORKER = "backhaul-worker-"
OPERATOR = "operator"
MADE_LATER = ("client", "prometheus")


def main(folder: Path, users: Path, owner: int) -> None:
    os.umask(0o022)
    urls = dict(rabbitmq(folder / "rabbitmq", json.loads(users.read_text())))
    for role in ROLES:
        kept(folder / "platform" / f"{role}_amqp_url", urls[f"backhaul-{role}"])
    for user, url in urls.items():
        if user.startswith(WORKER):
            kept(folder / user.removeprefix(WORKER) / "amqp_url", url)
    password = kept(folder / "postgres" / "password", secrets.token_hex(32))
    kept(folder / "platform" / "database_url", f"postgresql://backhaul:{password}@postgres:5432/backhaul")
    kept(folder / "platform" / "secret_key", secrets.token_hex(32))
    for name in MADE_LATER:
        (folder / name).mkdir(exist_ok=True)
        os.chown(folder / name, owner, -1)


def rabbitmq(folder: Path, definitions: dict[str, list[dict[str, object]]]) -> Iterator[tuple[str, str]]:
    """Each user with its URL; what RabbitMQ reads at each start is written to the folder."""
    definitions["users"].append({"name": OPERATOR, "tags": ["administrator"], "limits": {}})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    definitions["permissions"].append({"user": OPERATOR, "vhost": "/", **everything})
    for user in definitions["users"]:
        name = str(user["name"])
        password = kept(folder / name, secrets.token_hex(32))
        user |= {"password_hash": hashed(password), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        yield name, f"amqp://{name}:{password}@rabbitmq:5672/%2F"
    (folder / "users.json").write_text(json.dumps(definitions))
    (folder / "rabbitmq.conf").write_text("load_definitions = /run/secrets/users.json\n")


def hashed(password: str) -> str:
    """As RabbitMQ keeps passwords: a salt of 4 bytes, and SHA-256 of salt and password."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def kept(path: Path, text: str) -> str:
    """What the file holds; `text` if there is none yet. It is written whole or not at all."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        written = path.with_suffix(".new")
        written.write_text(f"{text}\n")
        written.replace(path)
    return path.read_text().strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

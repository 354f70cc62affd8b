"""The secrets of this deployment: each is made once, at random, and kept; what readers find is derived from it anew.

    passwords.py FOLDER USERS UID               make what is missing, and give each reader its own
    passwords.py FOLDER USERS UID show NAME     print one
    passwords.py FOLDER USERS UID renew NAME    make another one, which the first of these then gives to its readers

FOLDER/kept holds them all, and every other subfolder is the volume of one reader. The users of RabbitMQ are those of
the file USERS (deploy/rabbitmq/users.json), each with a password of its own, and one for people. UID is who may write
the keys of the API, which are made later.
"""

import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

DATABASE, SECRET_KEY, OPERATOR = "database", "secret_key", "operator"
DEPLOY, GATEWAY, LEDGER, WORKER = "backhaul-deploy", "backhaul-gateway", "backhaul-ledger", "backhaul-worker-"
MADE_LATER = {"client", "prometheus"}
TOLD = {"rabbitmq", "postgres", "users", "database", "topology"}
"""Readers that need not start anew to take another secret up: servers that are told it, and what runs each time."""

Definitions = dict[str, list[dict[str, Any]]]
Files = Mapping[str, Mapping[str, str]]
"""What each reader finds: by its name, the files by theirs."""


def main(folder: Path, users: Path, owner: int, *command: str) -> None:
    definitions = definitions_in(users)
    names = [DATABASE, SECRET_KEY, OPERATOR, *(user["name"] for user in definitions["users"])]
    kept = {name: kept_in(folder / "kept", name) for name in names}
    match command:
        case ():
            give(folder, owner, derived(definitions, kept))
        case ("show", name) if name in names:
            print(kept[name])
        case ("renew", name) if name in names:
            renewed = {**kept, name: secrets.token_hex(32)}
            write(folder / "kept" / name, renewed[name], 0o600)
            print(what_then(name, derived(definitions, kept), derived(definitions, renewed)))
        case _:
            sys.exit(f"passwords: say `show NAME` or `renew NAME`, where NAME is one of {', '.join(names)}")


def give(folder: Path, owner: int, files: Files) -> None:
    require_the_same(files.keys() | MADE_LATER, {path.name for path in folder.iterdir()} - {"kept"})
    for reader, contents in files.items():
        for name, text in contents.items():
            write(folder / reader / name, text, 0o644)
    for reader in MADE_LATER:
        os.chown(folder / reader, owner, -1)


def definitions_in(users: Path) -> Definitions:
    try:
        definitions: Definitions = json.loads(users.read_text())
        missing = {DEPLOY, GATEWAY, LEDGER} - {user["name"] for user in definitions["users"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        sys.exit(f"passwords: {users} is no file of users ({error!r}): make it with `backhaul topology export DIR`")
    if missing:
        sys.exit(f"passwords: {users} has no user {min(missing)}: make it anew with `backhaul topology export DIR`")
    return definitions


def derived(definitions: Definitions, kept: Mapping[str, str]) -> Files:
    quoted = {name: quote(secret, safe="") for name, secret in kept.items()}
    urls = {name: f"amqp://{name}:{password}@rabbitmq:5672/%2F" for name, password in quoted.items()}
    store = {"database_url": f"postgresql://backhaul:{quoted[DATABASE]}@postgres:5432/backhaul"}
    platform = {**store, "secret_key": kept[SECRET_KEY]}
    users = json.dumps(with_passwords(definitions, kept))
    readers = {
        "rabbitmq": {"users.json": users, "rabbitmq.conf": "load_definitions = /run/secrets/users.json"},
        "postgres": {"password": kept[DATABASE]},
        "users": {"users.json": users, OPERATOR: kept[OPERATOR]},
        "database": store,
        "topology": {"amqp_url": urls[DEPLOY]},
        "gateway": {**platform, "amqp_url": urls[GATEWAY]},
        "ledger": {**platform, "amqp_url": urls[LEDGER]},
        "notifier": platform,
    }
    for name in filter(is_worker, kept):
        service = name.removeprefix(WORKER)
        if service in readers or service in MADE_LATER:
            sys.exit(f"passwords: users.json has a user {name}, and {service} is a part of the platform: rename it")
        readers[service] = {"amqp_url": urls[name]}
    return readers


def is_worker(name: str) -> bool:
    return name.startswith(WORKER)


def with_passwords(definitions: Definitions, kept: Mapping[str, str]) -> Definitions:
    """As RabbitMQ takes them, with the user for people."""
    users = [*definitions["users"], {"name": OPERATOR, "tags": ["administrator"], "limits": {}}]
    everything = {"user": OPERATOR, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    hashing = {"hashing_algorithm": "rabbit_password_hashing_sha256"}
    return {
        **definitions,
        "users": [{**user, "password_hash": hashed(kept[user["name"]]), **hashing} for user in users],
        "permissions": [*definitions["permissions"], everything],
    }


def hashed(password: str) -> str:
    """As RabbitMQ keeps passwords: a salt of 4 bytes, and SHA-256 of salt and password."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def require_the_same(read: set[str], mounted: set[str]) -> None:
    """Each reader has a volume, and each volume a reader."""
    for name in sorted(read - mounted):
        sys.exit(
            f"passwords: users.json has a user {WORKER}{name}, and no volume is mounted at /secrets/{name}: give the "
            f"service `secrets` one (docs/containers.md, a service of your own), or take the user out"
        )
    for name in sorted(mounted - read):
        sys.exit(
            f"passwords: a volume is mounted at /secrets/{name}, and users.json has no user {WORKER}{name}: make the "
            f"file anew with `backhaul topology export DIR --service {name} …`, or take the volume out"
        )


def what_then(name: str, before: Files, after: Files) -> str:
    """What to do after a secret has changed, and with it what readers find."""
    if name == OPERATOR:
        new = f"$(docker compose run --rm -T secrets show {name})"
        return f'tell RabbitMQ: docker compose exec rabbitmq rabbitmqctl change_password {name} "{new}"'
    to_start_anew = [reader for reader in after if reader not in TOLD and after[reader] != before[reader]]
    return " ".join(["make up", *(["&& docker compose restart"] if to_start_anew else []), *to_start_anew])


def kept_in(folder: Path, name: str) -> str:
    """The secret, made now if there is none, or an empty file."""
    path = folder / name
    if not (path.is_file() and path.read_text().strip()):
        write(path, secrets.token_hex(32), 0o600)
    return path.read_text().strip()


def write(path: Path, text: str, mode: int) -> None:
    """Whole or not at all, and to stay when the machine dies."""
    if path.is_file() and path.read_text() == f"{text}\n":
        return
    written = path.with_name(f"{path.name}.new")
    with written.open("w") as file:
        written.chmod(mode)
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

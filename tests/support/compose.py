"""The compose file, and what its programs do to folders that stand for its volumes."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
USERS = ROOT / "deploy/rabbitmq/users.json"


class Deployment:
    """The volumes that the service `secrets` mounts, and what it does with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "secrets"
        self.users = folder / "users.json"
        self.users.write_bytes(USERS.read_bytes())
        for mount in SERVICES["secrets"]["volumes"]:
            if "-secrets:/secrets/" in mount:
                (self.folder / mount.rpartition("/")[2]).mkdir(parents=True)

    def passwords(self, *command: str) -> subprocess.CompletedProcess[str]:
        program = ROOT / "deploy/compose/passwords.py"
        arguments = [sys.executable, str(program), str(self.folder), str(self.users), str(os.getuid()), *command]
        return subprocess.run(arguments, check=False, capture_output=True, text=True)

    def up(self) -> None:
        finished = self.passwords()
        assert (finished.returncode, finished.stderr) == (0, "")

    def read(self, *path: str) -> str:
        return self.folder.joinpath(*path).read_text().strip()

    def files(self) -> dict[str, str]:
        """All but the users for RabbitMQ, which are salted anew each time."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "users.json"]
        return {str(path.relative_to(self.folder)): path.read_text().strip() for path in found}

    def rabbitmq_knows(self, user: str, password: str) -> bool:
        users = {each["name"]: each for each in json.loads(self.read("rabbitmq", "users.json"))["users"]}
        salted = base64.b64decode(users[user]["password_hash"])
        return salted[4:] == hashlib.sha256(salted[:4] + password.encode()).digest()

"""A PostgreSQL server of our own, from the installed programs: own port, folder and password."""

import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.ports import LOOPBACK, free_port
from tests.support.private import PrivateServer
from tests.support.sandbox import Sandbox, account

_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def installed_postgresql() -> Path | None:
    """The folder of the newest server's programs on this machine, or None."""
    folders = [folder for pattern in _FOLDERS for folder in Path("/").glob(pattern)]
    served = [folder for folder in folders if (folder / "initdb").exists()]
    if served:
        return max(served, key=_version)
    found = shutil.which("initdb", path=_PATH)
    return Path(found).resolve().parent if found else None


def _version(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[0]) if digits else 0


class PrivatePostgreSQL(PrivateServer):
    """A PostgreSQL server; `programs` is the folder of its programs, else the installed ones.

    `fsync=False` trades safety on a power cut, which no test can see, for quicker commits.
    """

    name = "PostgreSQL"
    logs = ("postgresql.log",)
    stop_signal = signal.SIGINT  # "fast": running statements are rolled back

    def __init__(self, programs: Path | None = None, *, fsync: bool = True) -> None:
        folder = programs or installed_postgresql()
        if folder is None:
            raise RuntimeError("PostgreSQL is not installed here: install the package postgresql")
        super().__init__(Sandbox("postgresql", user=account("postgres")))
        self._programs = folder
        self._data = self._sandbox.folder / "data"
        self._env = {"HOME": str(self._sandbox.folder), "PATH": _PATH, "LANG": "C.UTF-8"}
        self._password = secrets.token_hex(8)
        self._port = free_port()
        self._settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self._port),
            "unix_socket_directories": "",
        } | self._options(fsync=fsync)

    @staticmethod
    def _options(*, fsync: bool) -> dict[str, str]:
        return {"max_connections": "300"} | ({} if fsync else _UNSAFE)

    @property
    def url(self) -> str:
        """The URL of a database to work in, or to create others from."""
        return f"postgresql://backhaul:{self._password}@{LOOPBACK}:{self._port}/postgres"

    @property
    def version(self) -> str:
        """Of the server's programs: `15.16`."""
        told = subprocess.run([self._programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        return told.stdout.split()[2]

    def dump(self, url: str, name: str) -> None:
        """What `pg_dump` says of a database, kept beside the server under a `name`."""
        self._run("pg_dump", "--format=custom", f"--file={self._kept(name)}", f"--dbname={url}")

    def restore(self, name: str, url: str) -> None:
        """Put into an empty database what was kept under this `name`."""
        self._run("pg_restore", "--exit-on-error", f"--dbname={url}", self._kept(name))

    def crash(self) -> None:
        """An "immediate" end: no checkpoint, no word to clients; recovery at the next start."""
        if self._server is not None:
            self._sandbox.stop(self._server, signal.SIGQUIT)
            self._server = None

    def _kept(self, name: str) -> str:
        return str(self._sandbox.folder / f"{name}.dump")

    def _run(self, program: str, *arguments: str) -> None:
        self._sandbox.run([str(self._programs / program), *arguments], env=self._env)

    def _spawn(self) -> subprocess.Popen[str]:
        if not self._data.exists():
            self._initialise()
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return self._sandbox.spawn(
            [str(self._programs / "postgres"), "-D", str(self._data), *settings],
            env=self._env,
            log="postgresql.log",
        )

    def _initialise(self) -> None:
        password = self._sandbox.write("password", self._password)
        options = {
            "pgdata": self._data,
            "username": "backhaul",
            "pwfile": password,
            "auth": "password",
            "encoding": "UTF8",
            "locale": "C",
        }
        initdb = str(self._programs / "initdb")
        self._sandbox.run(
            [initdb, "--no-sync", *(f"--{name}={value}" for name, value in options.items())], env=self._env
        )

    def _serves(self, pid: int) -> bool:
        """The server notes its process and its state in lines 1 and 8 of postmaster.pid."""
        path = self._data / "postmaster.pid"
        lines = [line.strip() for line in path.read_text().splitlines()] if path.exists() else []
        return len(lines) > 7 and (lines[0], lines[7]) == (str(pid), "ready")

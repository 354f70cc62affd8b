"""`backhaul new`: a service to begin with, which works, is tested, and can be put into a container."""

import importlib.util
import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from backhaul.cli.faults import Misuse

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST = 50
_SHELF = "backhaul.cli", "starter"


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("new", rich_help_panel="Run")(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the service, and of the folder that is made.")],
) -> None:
    """A new service in a folder of its own: code, test, Dockerfile."""
    package = _package(name)
    folder = Path(name)
    words = {"service": name, "package": package}
    try:
        folder.mkdir()
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        for path, template in _files(package).items():
            _write(folder / path, _read(template).substitute(words))
    except OSError as error:
        raise _unusable(folder, error) from error
    print(_READY.format(name=name, package=package))


_READY = """\
{name}/ is ready. What to do next:

  cd {name}
  backhaul dev {package}.service:service
  backhaul submit {name}.greet '{{"names": ["Ada", "Grace"]}}' --follow
  python -m pytest"""


def _files(package: str) -> dict[str, str]:
    """The template of each file; none for an empty one."""
    return {
        f"{package}/__init__.py": "",
        f"{package}/service.py": "service.py.txt",
        "tests/test_service.py": "test_service.py.txt",
        "pyproject.toml": "pyproject.toml.txt",
        "Dockerfile": "Dockerfile.txt",
        "README.md": "README.md.txt",
    }


def _read(template: str) -> Template:
    package, folder = _SHELF
    return Template(resources.files(package).joinpath(folder, template).read_text("utf-8") if template else "")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _package(name: str) -> str:
    """The module of a service of this name. Raises `Misuse` for one that cannot be."""
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(package):
        raise Misuse(f"{name!r} cannot name a service: use words of lower case letters and digits, joined by - or _")
    if importlib.util.find_spec(package) is not None:
        raise Misuse(f"there is a Python module {package} already, which would hide the service: choose another name")
    return package


def _unusable(folder: Path, error: OSError) -> Misuse:
    fact = (error.strerror or str(error)).lower()
    return Misuse(f"the folder {folder} cannot be made ({fact}): choose another name, or work in another folder")

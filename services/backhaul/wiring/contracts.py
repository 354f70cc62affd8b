"""The contracts as files: generated, compared with what is stored, and stored."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backhaul.core.clock import SystemClock
from backhaul.core.errors import ConfigurationError
from backhaul.settings import Settings
from backhaul_contracts.kinds import KindSpec

_SCHEMAS, _KINDS = "schemas", "kinds"


def contract_files(targets: Sequence[str] = ()) -> dict[str, str]:
    """Every file by its path: JSON Schemas, `asyncapi.yaml`, `openapi.json`, and a file for each kind of `targets`."""
    from backhaul.core.messages.asyncapi import asyncapi
    from backhaul_contracts.schemas import schemas

    kinds = {f"{_KINDS}/{name}.json": spec.model_dump_json(indent=2) + "\n" for name, spec in _kinds(targets).items()}
    return {
        **{f"{_SCHEMAS}/{name}": text for name, text in schemas().items()},
        "asyncapi.yaml": _yaml(asyncapi()),
        "openapi.json": json.dumps(_openapi(), indent=2, ensure_ascii=False) + "\n",
        **kinds,
    }


def broken_contracts(folder: Path, targets: Sequence[str] = ()) -> list[str]:
    """What this version, and the services of `targets`, break of what `folder` holds, a sentence each.

    Raises `ConfigurationError` if there is nothing to compare with, or a service cannot be loaded.
    """
    from backhaul.core.schema.promises import broken_kinds, broken_schemas
    from backhaul_contracts.schemas import schemas

    before = {path.stem: _loaded(path) for path in sorted((folder / _SCHEMAS).glob("*.json"))}
    if not before:
        raise ConfigurationError(f"{folder} holds no contracts to compare with: write them with `contracts export`")
    kinds = {path.stem: _kind(path) for path in sorted((folder / _KINDS).glob("*.json"))}
    now = {name.removesuffix(".json"): json.loads(text) for name, text in schemas().items()}
    return broken_schemas(before, now) + broken_kinds(kinds, _kinds(targets))


def drifted_contracts(folder: Path, targets: Sequence[str] = ()) -> list[str]:
    """The files of `folder` that are not what would be written now."""
    wanted = contract_files(targets)
    stored = {path for path in _stored(folder) if targets or not path.startswith(f"{_KINDS}/")}
    changed = {name for name, text in wanted.items() if _text(folder / name) != text}
    return sorted(changed | (stored - wanted.keys()))


def write_contracts(folder: Path, targets: Sequence[str] = ()) -> int:
    """Make `folder` hold the contracts as they are now; returns how many files that are. Files of kinds stay."""
    wanted = contract_files(targets)
    for name in _stored(folder):
        if name not in wanted and not name.startswith(f"{_KINDS}/"):
            (folder / name).unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return len(wanted)


def _stored(folder: Path) -> Iterable[str]:
    for part in (_SCHEMAS, _KINDS):
        yield from (f"{part}/{path.name}" for path in (folder / part).glob("*.json"))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        value: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    return value


def _kind(path: Path) -> KindSpec:
    try:
        return KindSpec.model_validate(_loaded(path))
    except ValueError as error:
        raise ConfigurationError(f"{path} describes no kind: {str(error).partition(chr(10))[0]}") from error


def _kinds(targets: Sequence[str]) -> dict[str, KindSpec]:
    from backhaul.worker import load_services

    services = load_services(targets) if targets else []
    specs = [spec for service in services for spec in service.announcement().kinds]
    return {f"{spec.kind}@{spec.version}": spec for spec in specs}


def _openapi() -> dict[str, Any]:
    """The document of a gateway that knows no kind; it is never started."""
    from backhaul.broker.memory import MemoryBroker
    from backhaul.gateway import create_app
    from backhaul.wiring.adapters import open_store
    from backhaul.wiring.platform import Platform

    settings, clock = Settings(), SystemClock()
    store = open_store(settings, clock, url="sqlite:///:memory:")
    document: dict[str, Any] = create_app(
        Platform(store, MemoryBroker(), settings=settings, clock=clock).add_gateway()
    ).openapi()
    return document


def _yaml(document: Mapping[str, Any]) -> str:
    """Written out in full: no part is an alias of another."""
    import yaml

    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    return text

"""The whole examination: what is looked at, and in which order."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from backhaul.core.findings import Finding, Severity, fault, worst
from backhaul.settings import Settings
from backhaul.wiring.disclosure import configured
from backhaul.wiring.doctor import broker, prudence, store

ROLES = ("server", "gateway", "ledger", "notifier", "worker")
_WITHOUT_STORE = ("worker",)
_WITHOUT_BROKER = ("notifier",)


@dataclass(frozen=True, slots=True)
class Examination:
    """`settings` as they may be shown, by the names of their variables; `findings` in the order of the look."""

    settings: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        return worst(self.findings)


def examine(settings: Settings, role: str | None = None, *, names: Mapping[str, str] | None = None) -> Examination:
    """Look at what `role` (one of `ROLES`) needs; None: at everything, whatever this machine is for.

    `names` is the environment, in which misspelt settings are looked for. Nothing is changed, and no fault of what is
    looked at is raised: it is a finding.
    """
    return asyncio.run(_examine(settings, role, names or {}))


async def _examine(settings: Settings, role: str | None, names: Mapping[str, str]) -> Examination:
    parts, servers = [], []
    if role not in _WITHOUT_STORE:
        parts.append(store.examine(settings, role))
        servers.append("database_url")
    if role not in _WITHOUT_BROKER:
        parts.append(broker.examine(settings, role))
        servers.append("amqp_url")
    looks = await asyncio.gather(*(_safely(part) for part in parts))
    findings = [*prudence.examine(settings, role, names), *(finding for look in looks for finding in look)]
    return Examination(configured(settings, servers=servers), tuple(findings))


async def _safely(look: "broker.Look") -> list[Finding]:
    """What it finds. That it takes too long, or fails in a way that nobody foresaw, is a finding, too."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await look
    except TimeoutError:
        return [fault("doctor", f"a look took longer than {_PATIENCE:.0f} s and was given up", "look at the servers")]
    except Exception as error:  # noqa: BLE001 - a doctor tells what the others find; the text may hold secrets
        fact = f"a look failed unforeseen ({type(error).__name__}), and what it would have found is missing"
        return [fault("doctor", fact, "see what this user may read, and whether the URLs are right")]


_PATIENCE = 40.0

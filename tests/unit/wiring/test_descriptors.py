"""A gateway may hold as many connections as the system lets it."""

import resource
from collections.abc import Iterator

import pytest

from backhaul.wiring.descriptors import allow_many_connections

BEFORE = resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.fixture
def _as_linux_starts_it() -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, BEFORE[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, BEFORE)


@pytest.mark.usefixtures("_as_linux_starts_it")
def test_the_limit_of_a_process_is_raised_to_what_is_allowed() -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)

    allow_many_connections()

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(allowed, 65_536), allowed)


def test_what_is_more_already_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (100_000, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda *_: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda *new: pytest.fail(f"set to {new}"))

    allow_many_connections()

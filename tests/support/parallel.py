"""The tests in several processes at once: `pytest -n auto --dist loadfile`, which is what `make test` does.

Each process starts servers of its own, and runs whole files: what a module's tests share, they share. Most of the time
is waiting, for a start or for the end of a lease, so there are more processes than cores.
"""

import os
from collections.abc import Generator

import pytest

_MOST = 8

_LONG_FIRST = (
    "tests/simulation/test_simulation",
    "tests/faults/test_chaos",
    "tests/faults/",
    "tests/acceptance/",
    "tests/simulation/",
    "tests/integration/",
)
"""Begun last, one of these would keep everybody waiting."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many as there are cores; none, which means this process alone, where only some tests are asked for."""
    chosen = config.option.keyword or config.option.markexpr or config.getoption("lf", False)
    if chosen or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(_MOST, 2 * len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first, in the same way in every process."""
    items.sort(key=_turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged travels to the first process as UTF-8, which has no place for lone surrogates."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, start in enumerate(_LONG_FIRST) if item.nodeid.startswith(start)), len(_LONG_FIRST))

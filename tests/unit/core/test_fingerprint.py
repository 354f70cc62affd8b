from typing import Any

import pytest

from backhaul.core.task.fingerprint import fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 0}, {"a": -0.0}),
        ({"a": 10**16}, {"a": 1e16}),
        ({"a": 10**22}, {"a": 1e22}),
        ([0.5, {"x": None}], [0.50, {"x": None}]),
    ],
)
def test_equal_inputs_have_equal_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint("a.b", one) == fingerprint("a.b", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": True}, {"a": 1}),
        ([1, 2], [2, 1]),
        ({"n": 9007199254740993}, {"n": 9007199254740992}),
        ({"n": 9007199254740993}, {"n": 9007199254740992.0}),
        ("é", "e\u0301"),
    ],
)
def test_different_inputs_have_different_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint("a.b", one) != fingerprint("a.b", other)


def test_the_kind_belongs_to_the_fingerprint() -> None:
    assert fingerprint("a.b", {}) != fingerprint("a.c", {})

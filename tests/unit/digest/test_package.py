"""What a user hears who did not install the extra."""

import importlib
import importlib.util

import pytest

import digest
from backhaul.core.errors import ConfigurationError


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'backhaul\[digest\]'"):
        importlib.reload(digest)

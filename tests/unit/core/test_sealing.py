"""Secrets at rest."""

import pytest

from backhaul.core.errors import ConfigurationError
from backhaul.core.sealing import Vault, derived_key

KEY = "k" * 32


def test_what_was_sealed_opens_under_the_same_key_in_another_process() -> None:
    sealed = Vault(KEY).seal("whsec_abc")

    assert Vault(KEY).open(sealed) == "whsec_abc"
    assert "whsec_abc" not in sealed


def test_under_another_key_nothing_opens_and_the_remedy_is_named() -> None:
    sealed = Vault(KEY).seal("whsec_abc")

    with pytest.raises(ConfigurationError, match="BACKHAUL_SECRET_KEY"):
        Vault("another" * 5).open(sealed)


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert derived_key(KEY, "one") != derived_key(KEY, "two")
    assert len(derived_key(KEY, "one")) == 32

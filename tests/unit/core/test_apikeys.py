"""What a key looks like, and what its names may be."""

import re
from datetime import UTC, datetime

import pytest

from backhaul.core.apikeys import USUAL, digest_of, new_api_key
from backhaul.core.errors import ConfigurationError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_key_is_random_and_says_what_it_is() -> None:
    (first, bare), (second, other) = (new_api_key("ci", "default", frozenset(), NOW) for _ in range(2))

    assert re.fullmatch(r"bh_[a-z2-7]{52}", bare)
    assert bare != other
    assert (first.digest, second.digest) == (digest_of(bare), digest_of(other))
    assert first.scopes == USUAL


@pytest.mark.parametrize("name", ["", " ci", "a\nb", "\x1b[31m", "n" * 256])
def test_a_name_that_nobody_could_type_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="printable"):
        new_api_key(name, "default", USUAL, NOW)

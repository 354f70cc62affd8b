"""Records that are made and copied on short ways."""

from dataclasses import MISSING, FrozenInstanceError, fields, replace
from typing import Any

import pytest

from backhaul.core.task.record import RECORD_FIELDS, Record, assemble, evolve, new_record
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import draft

RECORD = draft().record
GIVEN = {name: getattr(RECORD, name) for name in RECORD_FIELDS}
NEEDED: dict[str, Any] = {field.name: GIVEN[field.name] for field in fields(Record) if field.default is MISSING}


def test_every_short_way_makes_what_the_constructor_makes() -> None:
    assert new_record(**NEEDED) == Record(**NEEDED)
    assert new_record(**GIVEN) == assemble(GIVEN.values()) == RECORD
    assert evolve(RECORD, status=Status.RUNNING, seq=7) == replace(RECORD, status=Status.RUNNING, seq=7)
    assert RECORD.seq == GIVEN["seq"]


def test_what_is_no_field_or_lacks_one_makes_no_record() -> None:
    with pytest.raises(TypeError, match="staus"):
        evolve(RECORD, staus=Status.RUNNING)
    with pytest.raises(TypeError, match="fields of a record"):
        new_record(**{name: NEEDED[name] for name in NEEDED if name != "status"})
    with pytest.raises(ValueError, match="shorter"):
        assemble(list(GIVEN.values())[:-1])


@pytest.mark.parametrize("record", [new_record(**NEEDED), assemble(GIVEN.values()), evolve(RECORD, seq=1)])
def test_a_record_is_frozen_however_it_was_made(record: Record) -> None:
    with pytest.raises(FrozenInstanceError):
        record.seq = 2  # type: ignore[misc]

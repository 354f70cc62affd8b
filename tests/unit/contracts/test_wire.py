from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from backhaul_contracts import codec
from backhaul_contracts.ids import is_task_id, made_at_ms, new_task_id
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.wire import Moment, format_time, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (30, timedelta(seconds=30)),
        (0.5, timedelta(milliseconds=500)),
        ("1500ms", timedelta(milliseconds=1500)),
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1.5d", timedelta(hours=36)),
    ],
)
def test_a_duration_is_seconds_or_a_text_with_a_unit(text: object, length: timedelta) -> None:
    assert parse_duration(text) == length


NO_DURATIONS = [
    "",
    "\N{ARABIC-INDIC DIGIT THREE}s",
    "30",
    "s",
    "-1s",
    -1,
    "1 fortnight",
    True,
    None,
    1e300,
    float("nan"),
    "9" * 19 + "d",
]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_task_id_carries_its_time_and_sorts_by_it() -> None:
    earlier, later = new_task_id(1_700_000_000_000), new_task_id(1_700_000_000_001)

    assert earlier < later
    assert made_at_ms(earlier) == 1_700_000_000_000
    assert is_task_id(earlier)


def test_ids_made_in_the_same_millisecond_sort_in_the_order_of_their_making() -> None:
    ids = [new_task_id(1_700_000_000_000) for _ in range(5_000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(is_task_id(task_id) for task_id in ids)


NO_TASK_IDS = [
    "",
    "tsk_",
    "tsk_01m86m4bnpe27a597p8ew55k2g\n",
    "TSK_01m86m4bnpe27a597p8ew55k2g",
    "tsk_01m86m4bnpe27a597p8ew55k2",
    "tsk_" + "u" * 26,
]


@pytest.mark.parametrize("text", NO_TASK_IDS)
def test_other_texts_are_no_task_ids(text: str) -> None:
    assert not is_task_id(text)


def test_json_keeps_integers_of_any_size_exact() -> None:
    assert codec.loads(b"[123456789012345678901234567890]") == [123456789012345678901234567890]
    assert codec.dumps([123456789012345678901234567890]) == b"[123456789012345678901234567890]"


@pytest.mark.parametrize("text", [b"", b"NaN", b"[Infinity]", b'"\xff"', b'"\\ud800"', b"{} {}", b"{'a': 1}"])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="line 1"):
        codec.loads(text)


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    noon_in_berlin = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=1)))

    assert format_time(noon_in_berlin) == "2026-01-31T11:00:00.123Z"


def test_a_time_without_a_zone_is_refused() -> None:
    adapter = TypeAdapter(Moment)

    assert adapter.validate_python("2026-01-31T12:00:00+01:00") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    with pytest.raises(ValidationError, match="needs a zone"):
        adapter.validate_python("2026-01-31T12:00:00")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_calendar_holds_in_utc_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="between the years 1 and 9999"):
        TypeAdapter(Moment).validate_python(text)


@pytest.mark.parametrize("value", [0, 1_767_225_600, 1e400, "1767225600", True, ""])
def test_a_number_is_no_time(value: object) -> None:
    with pytest.raises(ValidationError, match="RFC 3339"):
        TypeAdapter(Moment).validate_python(value)


def test_a_payload_has_finite_numbers() -> None:
    assert codec.payload([1e308, "Infinity", "NaN"]) == b'[1e+308,"Infinity","NaN"]'
    with pytest.raises(ValueError, match="too large"):
        codec.payload(codec.loads(b'{"a":[1e400]}'))


def test_a_payload_is_nested_no_deeper_than_fits_into_a_message() -> None:
    text = b"[" * codec.MAX_NESTING + b"1" + b"]" * codec.MAX_NESTING
    deepest = codec.loads(text)

    assert codec.payload(deepest) == text
    assert codec.payload([[]] * 1_000 + ["[" * 1_000])
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        codec.payload([deepest])


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "a.b", "surprise": 1},
        {"kind": "a.b", "priority": 101},
        {"kind": "a.b", "priority": "5"},
        {"kind": "a.b", "run_at": "2026-01-31T12:00:00Z", "delay": "5s"},
        {"kind": "a.b", "timeout": 0},
        {"kind": "a.b", "run_at": 1_767_225_600},
        {"kind": "a.b", "key": "a\x00b"},
        {"kind": "a.b", "max_attempts": 0},
        {"kind": "a.b", "metadata": {"n": 1}},
        {"kind": "a.b", "parent_id": "tsk_1"},
    ],
)
def test_a_submission_with_a_fault_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubmitTask.model_validate(body)

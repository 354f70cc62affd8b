"""A history is the same after it was written and read, whoever wrote which part."""

from pathlib import Path

from tests.proof.given import A_RETRIED_SUCCESS, story
from tests.proof.history import Diary, History
from tests.proof.observations import Remains, Terms


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = History([Terms(), *story(A_RETRIED_SUCCESS)])

    told.write(tmp_path / "history.jsonl")

    assert list(History.read(tmp_path / "history.jsonl")) == list(told)


def test_parts_that_processes_wrote_make_one_history(tmp_path: Path) -> None:
    for name, observation in (("a", Terms()), ("b", Remains(outbox=0, leases=0))):
        diary = Diary(tmp_path / name)
        diary.add(observation)
        diary.close()

    assert list(History.read(tmp_path / "a", tmp_path / "b")) == [Terms(), Remains(outbox=0, leases=0)]


def test_a_line_that_was_cut_off_by_death_is_no_observation() -> None:
    text = "".join(History([Terms(), Terms()]).lines())

    assert list(History.parse(text[:-5])) == [Terms()]

"""What counts as a traceback in a log."""

from tests.faults.logs import tracebacks

STUMBLED = """\
12:00:00 WARNING backhaul.worker  task tsk_1, attempt 1 failed (trace 7)
Traceback (most recent call last):
  File "kinds.py", line 1, in trouble
    raise Stumbled
tests.faults.kinds.Stumbled
12:00:01 INFO    backhaul.worker  worker wrk_1 takes tasks of quick.echo
"""
BROKEN = """\
12:00:02 ERROR   backhaul.ledger  backhaul.claims: a message cannot be handled
Traceback (most recent call last):
  File "desk.py", line 1, in _settle
    await self._handle(letters)
KeyError: 'queue'
12:00:03 INFO    backhaul  ledger is at work
"""


def test_what_handlers_raise_by_plan_is_expected() -> None:
    assert list(tracebacks(STUMBLED)) == []


def test_any_other_traceback_is_found_with_the_line_before_it() -> None:
    assert list(tracebacks(STUMBLED + BROKEN + STUMBLED)) == ["\n".join(BROKEN.splitlines()[:-1])]


def test_a_traceback_at_the_end_of_a_log_is_found() -> None:
    assert len(list(tracebacks("\n".join(BROKEN.splitlines()[:-1])))) == 1

from typing import Any

import pytest

from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages.topology import Misfit
from tests.unit.cli.conftest import Backhaul


class Called:
    """Stands in for a function of the wiring: remembers its call, answers as told."""

    def __init__(self, answer: object = None) -> None:
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self._answer = answer

    def __call__(self, *arguments: Any, **options: Any) -> object:
        self.arguments, self.options = arguments, options
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def stand_in(monkeypatch: pytest.MonkeyPatch, function: str, answer: object = None) -> Called:
    called = Called(answer)
    monkeypatch.setattr(function, called)
    return called


def test_dev_runs_everything_with_its_defaults(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dev = stand_in(monkeypatch, "backhaul.embedded.run_dev")

    finished = backhaul("dev")

    assert finished.code == 0
    assert run_dev.arguments[1:] == ([],)
    assert run_dev.options == {"host": "127.0.0.1", "port": 8080, "data": ".backhaul", "reload": False}


def test_dev_takes_options_before_settings(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dev = stand_in(monkeypatch, "backhaul.embedded.run_dev")
    monkeypatch.setenv("BACKHAUL_PORT", "9000")

    backhaul("dev", "shop.service:service")
    from_settings = run_dev.options["port"]
    backhaul("dev", "shop.service:service", "--port", "0", "--host", "::1", "--data", ":memory:", "--reload")

    assert from_settings == 9000
    assert run_dev.arguments[1:] == (["shop.service:service"],)
    assert run_dev.options == {"host": "::1", "port": 0, "data": ":memory:", "reload": True}


@pytest.mark.parametrize("role", ["server", "gateway", "ledger"])
def test_a_role_runs_with_the_settings(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    run = stand_in(monkeypatch, f"backhaul.wiring.run_{role}")
    monkeypatch.setenv("BACKHAUL_LEDGER_SHARDS", "4")

    finished = backhaul(role)

    assert finished.code == 0
    assert run.arguments[0].ledger_shards == 4


def test_a_worker_runs_the_named_services(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    run_worker = stand_in(monkeypatch, "backhaul.wiring.run_worker")

    finished = backhaul("worker", "a:service", "b:service", "--slots", "7")

    assert finished.code == 0
    assert run_worker.arguments[1:] == (["a:service", "b:service"], 7)


def test_a_known_fault_of_a_role_is_one_line(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.run_server", BrokerUnavailable("RabbitMQ does not answer at amqp://x"))

    finished = backhaul("server")

    assert (finished.code, finished.err) == (1, "backhaul: RabbitMQ does not answer at amqp://x\n")


def test_known_faults_of_several_loops_are_one_line(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = BrokerUnavailable("RabbitMQ does not answer")
    group = ExceptionGroup("loops", [gone, gone, ExceptionGroup("inner", [ConfigurationError("no key: make one")])])
    stand_in(monkeypatch, "backhaul.wiring.run_server", group)

    finished = backhaul("server")

    assert (finished.code, finished.err) == (1, "backhaul: RabbitMQ does not answer; no key: make one\n")


def test_what_nobody_foresaw_is_not_hidden(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.run_server", ZeroDivisionError("unforeseen"))

    with pytest.raises(ZeroDivisionError):
        backhaul("server")


@pytest.mark.parametrize("command", ["upgrade", "check"])
def test_a_database_that_fits_is_said_to_be_up_to_date(
    backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stand_in(monkeypatch, f"backhaul.wiring.{command}_database")

    finished = backhaul("db", command)

    assert (finished.code, finished.out) == (0, "the schema of the database is up to date\n")


def test_a_database_that_does_not_fit_is_exit_code_1(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.check_database", "the schema is at 0001: run `backhaul db upgrade`")

    finished = backhaul("db", "check")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == "backhaul: the schema is at 0001: run `backhaul db upgrade`\n"


def test_an_upgrade_that_is_impossible_is_one_line(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.upgrade_database", ConfigurationError("no such database: make one"))

    finished = backhaul("db", "upgrade")

    assert (finished.code, finished.err) == (1, "backhaul: no such database: make one\n")


def test_a_topology_is_applied_and_checked(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.apply_topology", [])
    stand_in(monkeypatch, "backhaul.wiring.check_topology", [])

    applied, checked = backhaul("topology", "apply"), backhaul("topology", "check")

    assert (applied.code, checked.code) == (0, 0)
    assert applied.out == checked.out == "the topology is in place\n"


def test_what_a_topology_leaves_for_later_is_named(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [Misfit("queue backhaul.ledger.3", "is left over", "stop its ledger")]
    stand_in(monkeypatch, "backhaul.wiring.apply_topology", left)

    finished = backhaul("topology", "apply")

    assert finished.code == 0
    assert finished.err == "backhaul: queue backhaul.ledger.3 is left over: stop its ledger\n"


def test_each_misfit_of_a_topology_is_named(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    misfits = [Misfit("queue a", "does not exist"), Misfit("queue b", "is classic", "delete it")]
    stand_in(monkeypatch, "backhaul.wiring.check_topology", misfits)

    finished = backhaul("topology", "check")

    assert finished.code == 1
    assert finished.err.splitlines() == [
        "backhaul: queue a does not exist: run `backhaul topology apply`",
        "backhaul: queue b is classic: delete it",
        "backhaul: bindings and policies were not looked at: set BACKHAUL_RABBITMQ_MANAGEMENT_URL",
    ]

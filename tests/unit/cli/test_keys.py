"""Commands for API keys, on a real data folder."""

import json
from pathlib import Path

import pytest

from backhaul.cli import faults
from backhaul.client import Unauthorized
from backhaul.core.errors import Rejected
from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul

pytestmark = pytest.mark.usefixtures("blocking_allowed")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def test_the_first_key_is_made_before_anything_else_and_printed_alone(backhaul: Backhaul, folder: str) -> None:
    finished = backhaul("keys", "create", "--name", "ci", "--scope", "read", "--scope", "submit", "--data", folder)

    assert finished.code == 0
    assert finished.out.startswith("bh_")
    assert len(finished.out.split()) == 1
    assert "may read, submit for tenant default" in finished.err


def test_keys_are_listed_without_themselves(backhaul: Backhaul, folder: str) -> None:
    bare = backhaul("keys", "create", "--name", "ci", "--tenant", "blue", "--data", folder).out.strip()

    table = backhaul("keys", "list", "--data", folder)
    listed = json.loads(backhaul("keys", "list", "--json", "--data", folder).out)

    assert "cancel read submit" in table.out
    assert bare not in table.out
    assert [(key["name"], key["tenant"], key["revoked_at"]) for key in listed] == [("ci", "blue", None)]


def test_a_key_is_revoked_by_its_name(backhaul: Backhaul, folder: str) -> None:
    backhaul("keys", "create", "--name", "ci", "--data", folder)

    revoked = backhaul("keys", "revoke", "ci", "--data", folder)
    again = backhaul("keys", "revoke", "ci", "--data", folder)

    assert (revoked.code, again.code) == (0, 1)
    assert "(ci) is revoked" in revoked.out
    assert again.err == "backhaul: there is no key 'ci' to revoke: `backhaul keys list` shows all\n"
    assert "revoked" in backhaul("keys", "list", "--data", folder).out


def test_of_two_keys_with_one_name_the_id_is_asked_for(backhaul: Backhaul, folder: str) -> None:
    for _ in range(2):
        backhaul("keys", "create", "--name", "ci", "--data", folder)

    finished = backhaul("keys", "revoke", "ci", "--data", folder)

    assert finished.code == 1
    assert "give the id" in finished.err


def test_the_configured_database_is_used_where_no_folder_is_named(
    backhaul: Backhaul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKHAUL_DATABASE_URL", f"sqlite:///{tmp_path / 'keys.db'}")

    backhaul("keys", "create", "--name", "ci")

    assert "ci" in backhaul("keys", "list").out
    assert (tmp_path / "keys.db").exists()


def test_looking_for_keys_makes_no_folder(backhaul: Backhaul, folder: str) -> None:
    finished = backhaul("keys", "list", "--data", folder)

    assert (finished.code, Path(folder).exists()) == (1, False)
    assert "holds no platform" in finished.err


def test_a_scope_that_does_not_exist_is_wrong_usage(backhaul: Backhaul, folder: str) -> None:
    finished = backhaul("keys", "create", "--name", "ci", "--scope", "write", "--data", folder)

    assert finished.code == 2
    assert finished.err == "backhaul: there is no scope 'write': choose from submit, read, cancel, admin\n"


def test_the_webhook_secret_of_a_tenant_is_made_once_and_printed_alone(backhaul: Backhaul, folder: str) -> None:
    first = backhaul("keys", "webhook-secret", "--data", folder)
    again = backhaul("keys", "webhook-secret", "--data", folder)
    other = backhaul("keys", "webhook-secret", "--tenant", "blue", "--data", folder)

    assert first.out.startswith("whsec_")
    assert len(first.out.split()) == 1
    assert again.out == first.out
    assert other.out != first.out


def test_a_webhook_secret_that_was_encrypted_under_another_key_stays_closed(
    backhaul: Backhaul, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backhaul("keys", "webhook-secret", "--data", folder)
    monkeypatch.setenv("BACKHAUL_SECRET_KEY", "another key of at least 32 characters")

    finished = backhaul("keys", "webhook-secret", "--data", folder)

    assert (finished.code, finished.out) == (1, "")
    assert "set BACKHAUL_SECRET_KEY to the one that this deployment has had" in finished.err


def test_a_database_gives_no_webhook_secret_without_the_key(
    backhaul: Backhaul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKHAUL_DATABASE_URL", f"sqlite:///{tmp_path / 'some.db'}")

    finished = backhaul("keys", "webhook-secret")

    assert finished.code == 1
    assert "set BACKHAUL_SECRET_KEY" in finished.err


def test_who_needs_a_key_is_told_where_to_put_it() -> None:
    refusal = Unauthorized(Rejected(ProblemCode.UNAUTHENTICATED, "No API key was sent.").problem)

    assert faults._known(refusal) == (
        "No API key was sent: set BACKHAUL_API_KEY to a key that `backhaul keys create` has made"
    )

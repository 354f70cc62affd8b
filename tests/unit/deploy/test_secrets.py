"""What the compose file's services `secrets` and `keys` make: their programs run for real, on folders for volumes."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from backhaul.core.apikeys import digest_of
from backhaul.settings import Settings
from backhaul.wiring import list_api_keys, revoke_api_key
from tests.support.compose import ROOT, SERVICES, Deployment

EXAMPLES = ("digest", "linkcheck", "report", "thumbnail")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """One that a test may change."""
    made = Deployment(tmp_path)
    made.up()
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """One that is only looked at."""
    made = Deployment(tmp_path_factory.mktemp("made"))
    made.up()
    return made


def test_each_reader_finds_its_own_and_nothing_else(made: Deployment) -> None:
    found = {name for name in made.files() if not name.startswith("kept/")}

    assert found == {
        "rabbitmq/rabbitmq.conf",
        "postgres/password",
        "users/operator",
        "database/database_url",
        "topology/amqp_url",
        *(f"gateway/{name}" for name in ("amqp_url", "database_url", "secret_key")),
        *(f"ledger/{name}" for name in ("amqp_url", "database_url", "secret_key")),
        *(f"notifier/{name}" for name in ("database_url", "secret_key")),
        *(f"{name}/amqp_url" for name in EXAMPLES),
    }


@pytest.mark.parametrize(
    "name", [name for name, service in SERVICES.items() if "cli" not in name and "environment" in service]
)
def test_every_file_that_a_service_is_told_to_read_is_made(name: str, made: Deployment) -> None:
    told = [str(value) for value in SERVICES[name]["environment"].values() if str(value).startswith("/run/secrets/")]
    (volume,) = (mount for mount in SERVICES[name]["volumes"] if mount.endswith("-secrets:/run/secrets:ro"))

    assert told
    assert all(made.read(volume.partition("-secrets:")[0], Path(file).name) for file in told)


@pytest.mark.parametrize(
    ("user", "reader"),
    [
        ("backhaul-deploy", "topology"),
        ("backhaul-gateway", "gateway"),
        ("backhaul-ledger", "ledger"),
        *((f"backhaul-worker-{name}", name) for name in EXAMPLES),
    ],
)
def test_each_role_has_a_user_of_its_own_on_the_broker(user: str, reader: str, made: Deployment) -> None:
    url = urlsplit(made.read(reader, "amqp_url"))

    assert (url.username, url.hostname) == (user, "rabbitmq")
    assert made.rabbitmq_knows(user, url.password or "")


def test_people_have_a_user_and_are_shown_its_password(made: Deployment) -> None:
    shown = made.passwords("show", "operator").stdout.strip()

    assert shown == made.read("users", "operator")
    assert made.rabbitmq_knows("operator", shown)


def test_a_second_start_changes_nothing(deployment: Deployment) -> None:
    before = deployment.files()

    deployment.up()

    assert deployment.files() == before


def test_what_is_kept_is_for_nobody_else_to_read(made: Deployment) -> None:
    assert {path.stat().st_mode & 0o777 for path in (made.folder / "kept").iterdir()} == {0o600}


def test_a_secret_that_a_crash_has_emptied_is_made_anew(deployment: Deployment) -> None:
    (deployment.folder / "kept/database").write_text("")
    (deployment.folder / "ledger/amqp_url").write_text("")

    deployment.up()

    assert len(deployment.read("kept", "database")) == 64
    assert deployment.read("kept", "database") in deployment.read("ledger", "database_url")
    assert deployment.read("ledger", "amqp_url").startswith("amqp://backhaul-ledger:")


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("backhaul-worker-digest", {"digest/amqp_url"}, "make up && docker compose restart digest"),
        ("backhaul-gateway", {"gateway/amqp_url"}, "make up && docker compose restart gateway"),
        ("backhaul-deploy", {"topology/amqp_url"}, "make up"),
        (
            "database",
            {"postgres/password", *(f"{name}/database_url" for name in ("database", "gateway", "ledger", "notifier"))},
            "make up && docker compose restart gateway ledger notifier",
        ),
        (
            "secret_key",
            {f"{name}/secret_key" for name in ("gateway", "ledger", "notifier")},
            "make up && docker compose restart gateway ledger notifier",
        ),
    ],
)
def test_a_renewed_secret_reaches_its_readers_with_the_next_start(
    name: str, changed: set[str], told: str, deployment: Deployment
) -> None:
    before = deployment.files()

    renewed = deployment.passwords("renew", name)
    between = deployment.files()
    deployment.up()

    after = deployment.files()
    assert (renewed.returncode, renewed.stdout) == (0, f"{told}\n")
    assert {path for path in before if between[path] != before[path]} == {f"kept/{name}"}
    assert {path for path in before if after[path] != before[path]} == {f"kept/{name}", *changed}


def test_a_password_that_somebody_has_chosen_may_hold_any_character(deployment: Deployment) -> None:
    (deployment.folder / "kept/database").write_text("a/b@c:d?e\n")

    deployment.up()

    url = urlsplit(deployment.read("gateway", "database_url"))
    assert (url.hostname, unquote(url.password or "")) == ("postgres", "a/b@c:d?e")


def _another_user(deployment: Deployment) -> None:
    users = json.loads(deployment.users.read_text())
    users["users"].append({"name": "backhaul-worker-hello", "tags": []})
    deployment.users.write_text(json.dumps(users))


def _a_user_called_like_a_role(deployment: Deployment) -> None:
    deployment.users.write_text(deployment.users.read_text().replace("worker-digest", "worker-ledger"))


def _another_volume(deployment: Deployment) -> None:
    (deployment.folder / "hello").mkdir()


def _no_ledger(deployment: Deployment) -> None:
    deployment.users.write_text(deployment.users.read_text().replace("backhaul-ledger", "ledger"))


def _a_folder(deployment: Deployment) -> None:
    deployment.users.unlink()
    deployment.users.mkdir()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (_another_user, "users.json has a user backhaul-worker-hello, and no volume is mounted at /secrets/hello: "),
        (_another_volume, "a volume is mounted at /secrets/hello, and users.json has no user backhaul-worker-hello: "),
        (_a_user_called_like_a_role, "users.json has a user backhaul-worker-ledger, and ledger is a part of the "),
        (_no_ledger, "/users.json has no user backhaul-ledger: "),
        (_a_folder, "/users.json is no file of users (IsADirectoryError"),
        (lambda deployment: deployment.users.write_text("{"), "/users.json is no file of users (JSONDecodeError"),
        (lambda deployment: deployment.users.write_text("[]"), "/users.json is no file of users (TypeError"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(
    fault: Callable[[Deployment], object], said: str, deployment: Deployment
) -> None:
    fault(deployment)

    finished = deployment.passwords()

    assert finished.returncode == 1
    assert said in finished.stderr
    assert finished.stderr.startswith("passwords: ")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", [("renew",), ("renew", "nobody"), ("forget", "operator"), ("show", "operator", "x")]
)
def test_a_wrong_word_is_answered_with_the_right_ones(command: tuple[str, ...], made: Deployment) -> None:
    finished = made.passwords(*command)

    assert finished.returncode == 1
    assert finished.stderr.startswith("passwords: say `show NAME` or `renew NAME`, where NAME is one of database, ")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """The program of the service `keys`, with the database that is given it: what its readers find afterwards."""
    for reader in ("client", "prometheus"):
        (tmp_path / reader).mkdir()

    def run(url: str) -> dict[str, str]:
        monkeypatch.setenv("BACKHAUL_DATABASE_URL", url)
        monkeypatch.setattr(sys, "argv", ["keys.py", str(tmp_path)])
        runpy.run_path(str(ROOT / "deploy/compose/keys.py"), run_name="__main__")
        return {path.parent.name: path.read_text().strip() for path in tmp_path.glob("*/api_key")}

    return run


@pytest.mark.usefixtures("blocking_allowed")
def test_keys_of_the_api_are_made_once_and_anew_when_the_database_does_not_know_them(
    keys: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    url, other = (f"sqlite:///{tmp_path / name}.db" for name in ("first", "other"))

    made = keys(url)
    kept = keys(url)
    revoke_api_key(Settings(), url, "client")
    (tmp_path / "prometheus/api_key").write_text("")
    renewed = keys(url)
    elsewhere = keys(other)

    assert kept == made
    assert not set(renewed.values()) & set(made.values())
    assert not set(elsewhere.values()) & set(renewed.values())
    assert {(key.digest, key.name, *key.scopes) for key in list_api_keys(Settings(), other)} == {
        (digest_of(elsewhere["client"]), "client", "admin"),
        (digest_of(elsewhere["prometheus"]), "prometheus", "read"),
    }


@pytest.mark.usefixtures("blocking_allowed")
def test_keys_without_a_database_are_told_of_in_one_line(keys: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^keys: .*nowhere.*: ") as ended:
        keys(f"sqlite:///{tmp_path}/nowhere/backhaul.db")

    assert "\n" not in str(ended.value)

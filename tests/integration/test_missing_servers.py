"""Without a server its tests are skipped with one loud line, or fail where servers are required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BARE_MACHINE = """
from tests.support import servers

servers.given_rabbitmq = servers.installed_rabbitmq = lambda: None
servers.docker_answers = lambda: False
pytest_plugins = ["tests.support.fixtures"]
"""
NEEDY_TEST = "def test_needs_a_broker(amqp_url): assert amqp_url\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(BARE_MACHINE)
    (tmp_path / "test_needy.py").write_text(NEEDY_TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    return tmp_path


def run_tests(folder: Path, *, required: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "BACKHAUL_TEST_REQUIRE_SERVERS": required}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_missing_server_skips_its_tests_with_one_loud_line(machine: Path) -> None:
    done = run_tests(machine, required="")

    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert done.stdout.count("NOT TESTED: no RabbitMQ: install the package rabbitmq-server") == 1


def test_a_missing_server_fails_its_tests_where_servers_are_required(machine: Path) -> None:
    done = run_tests(machine, required="1")

    assert done.returncode == 1
    assert "1 error" in done.stdout
    assert "no RabbitMQ: install the package rabbitmq-server" in done.stdout

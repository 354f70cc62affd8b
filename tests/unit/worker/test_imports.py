"""What importing the kit costs, and what it leaves alone."""

import subprocess
import sys

import backhaul

HEAVY = ("fastapi", "starlette", "sqlalchemy", "faststream", "aio_pika", "jsonschema_rs", "uvicorn", "rich")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def test_the_kit_imports_none_of_the_other_roles_libraries() -> None:
    loaded = _python(
        "import sys, backhaul, backhaul.worker\n"
        "for name in backhaul.__all__: getattr(backhaul, name)\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )

    assert loaded == ""


def test_importing_the_package_loads_nothing_yet() -> None:
    assert _python("import sys, backhaul; print('pydantic' in sys.modules)") == "False"


def test_a_worker_alone_is_small() -> None:
    rss = int(_python("import backhaul.worker, psutil; print(psutil.Process().memory_info().rss)"))

    assert rss < 70 * 2**20


def test_the_public_names_are_these() -> None:
    assert backhaul.__all__ == [
        "CallFailed",
        "Context",
        "Fail",
        "Rejected",
        "Retry",
        "RetryPolicy",
        "Service",
        "TaskEvent",
        "TooManyCalls",
    ]
    assert {name for name in dir(backhaul) if name[0].isupper()} >= set(backhaul.__all__)

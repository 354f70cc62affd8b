"""What every test may ask for."""

pytest_plugins = [
    "tests.support.blocking",
    "tests.support.fixtures",
    "tests.support.parallel",
    "tests.support.receiver",
    "tests.support.tracing",
]

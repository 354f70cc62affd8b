"""A service that makes thumbnails of pictures, in processes that can be killed.

Serve it with `backhaul worker thumbnail.service:service`.
"""

from importlib.util import find_spec

from backhaul.core.errors import ConfigurationError

for package in ("PIL", "httpcore"):
    if find_spec(package) is None:
        raise ConfigurationError(
            f"thumbnail needs the package {package}, which is not installed: pip install 'backhaul[thumbnail]'"
        )

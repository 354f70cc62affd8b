"""A service that does little itself: it has other services read a document, and makes one report of what they say.

Serve it with `backhaul worker report.service:service`, beside workers of digest, linkcheck and thumbnail.
"""

from importlib.util import find_spec

from backhaul.core.errors import ConfigurationError

if find_spec("markdown_it") is None:
    raise ConfigurationError(
        "report needs the package markdown_it, which is not installed: pip install 'backhaul[report]'"
    )

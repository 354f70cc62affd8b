"""`keys.py FOLDER`: the keys of the API that this deployment itself uses, each where its reader looks for it.

A key is made where there is none, and where the database does not know it (any more): it is another one, or the key
was revoked.
"""

import sys
from pathlib import Path

from backhaul.cli.session import settings
from backhaul.core.apikeys import DEFAULT_TENANT, Scope, digest_of
from backhaul.core.errors import BackhaulError
from backhaul.wiring import create_api_key, list_api_keys

SCOPES = {
    "client": Scope.ADMIN,  # docker compose run --rm cli …
    "prometheus": Scope.READ,
}


def main(folder: Path) -> None:
    configured = settings()
    url = configured.database_url.get_secret_value()
    known = {key.digest for key in list_api_keys(configured, url) if key.revoked_at is None}
    for reader, scope in SCOPES.items():
        path = folder / reader / "api_key"
        if path.is_file() and digest_of(path.read_text().strip()) in known:
            continue
        key, bare = create_api_key(configured, url, name=reader, tenant=DEFAULT_TENANT, scopes=frozenset({scope}))
        written = path.with_name("api_key.new")
        written.write_text(f"{bare}\n")
        written.replace(path)
        print(f"{key.id} is made for {reader}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BackhaulError as error:
        sys.exit(f"keys: {error}")

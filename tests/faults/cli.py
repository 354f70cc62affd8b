"""The command line of the processes under faults. What a dead notifier had taken is due again in seconds, not a minute:
otherwise few webhooks would be taken over within a run."""

import sys
from datetime import timedelta

from backhaul.cli.main import main

_LEASE = timedelta(seconds=6)

if __name__ == "__main__":
    if sys.argv[1:2] == ["notifier"]:
        from backhaul.notifier import notifier

        notifier.LEASE = _LEASE
    main()

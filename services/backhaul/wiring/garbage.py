"""The garbage collector of a process that allocates much and leaks no cycles."""

import gc

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 100


def calm_garbage_collector() -> None:
    """Look through what start-up has made once, then never again, and look for new cycles less often.

    Messages come and go by reference counts; at its default, of every 700 allocations, the collector looks through
    everything again and again to find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)

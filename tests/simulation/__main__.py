"""The simulation by hand: replay one seed with `--seed 17 --trace`, or play many with `--seeds 100000`."""

import argparse
import sys
from pathlib import Path

from tests.simulation.campaign import Campaign, play
from tests.simulation.world import run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="play this one, and say what was met and found")
    what.add_argument("--seeds", type=int, help="play so many, over all cores")
    parser.add_argument("--trace", action="store_true", help="with --seed: print all that was seen, as it happens")
    parser.add_argument("--first", type=int, default=0, help="with --seeds: the first of them")
    parser.add_argument("--failures", type=int, default=10, help="with --seeds: stop after so many have failed")
    parser.add_argument("--summary", type=Path, help="with --seeds: write what came of it to this file, too")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _replay(arguments.seed, trace=arguments.trace)
    return _play(arguments.first, arguments.seeds, arguments.failures, arguments.summary)


def _replay(seed: int, *, trace: bool) -> int:
    outcome = run_seed(seed, print if trace else None)
    for finding in outcome.findings:
        print(finding)
    print(f"seed {seed}: {outcome.seconds:.1f} simulated seconds, {outcome.turns} turns, digest {outcome.digest}")
    print("\n".join(f"{count:8} {name}" for name, count in sorted(outcome.met.items())))
    return bool(outcome.findings)


def _play(first: int, seeds: int, failures: int, summary: Path | None) -> int:
    campaign = play(first, seeds, most_failures=failures, on_progress=lambda so_far: _tell(so_far, seeds))
    print(file=sys.stderr)
    print(campaign.table())
    print(campaign.summary())
    if summary is not None:
        summary.write_text(f"{campaign.summary()}\n\n{campaign.table()}\n")
    return bool(campaign.failed)


def _tell(campaign: Campaign, seeds: int) -> None:
    print(f"\r{campaign.played} of {seeds} seeds, {len(campaign.failed)} failed", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

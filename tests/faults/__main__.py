"""`python -m tests.faults --minutes 10 [--seed 7]`: run it, write report and evidence, exit with 1 if violated."""

import argparse
import asyncio
import json
import random
import re
import sys
from datetime import timedelta
from pathlib import Path

from tests.faults.chaos import Wish, run
from tests.faults.evidence import keep
from tests.faults.figures import figures
from tests.faults.machine import machine, versions
from tests.faults.report import Report
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ

_BLOCK = re.compile(r"(<!-- chaos -->\n).*?(\n<!-- /chaos -->)", re.DOTALL)


def main() -> int:
    wanted = _arguments()
    wish = Wish(
        seed=wanted.seed,
        length=timedelta(minutes=wanted.minutes),
        gap=timedelta(seconds=wanted.gap),
        rate=wanted.rate,
    )
    command = _command(wish, wanted.minutes)
    print(f"{command}: about {wanted.minutes + 1:.0f} minutes", flush=True)
    with PrivateRabbitMQ() as broker, PrivatePostgreSQL() as database:
        report = asyncio.run(_report(wish, broker, database, command))
    folder = wanted.out / f"seed-{wanted.seed}"
    _write(report, folder)
    if wanted.into:
        _refresh(report, wanted.into)
    print(report.as_markdown())
    print(f"The report, the history and the logs of all processes: {folder}")
    return 0 if report.run.good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="The deployment under load and faults.")
    parser.add_argument("--minutes", type=float, default=2, help="of load and faults")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; default: drawn, and printed")
    parser.add_argument("--gap", type=float, default=4, help="seconds between faults, on average")
    parser.add_argument("--rate", type=float, default=8, help="submits a second")
    parser.add_argument("--out", type=Path, default=Path("build/chaos"), help="where reports and evidence go")
    parser.add_argument("--into", type=Path, help="a Markdown file whose block <!-- chaos --> is to show the report")
    wanted = parser.parse_args()
    if wanted.seed is None:
        wanted.seed = random.randrange(10_000)
    return wanted


def _command(wish: Wish, minutes: float) -> str:
    """What repeats it."""
    command = f"make chaos MINUTES={minutes:g} SEED={wish.seed}"
    usual = Wish(seed=wish.seed, length=wish.length)
    if wish == usual:
        return command
    return f"{command} ARGS='--gap {wish.gap.total_seconds():g} --rate {wish.rate:g}'"


async def _report(wish: Wish, broker: PrivateRabbitMQ, database: PrivatePostgreSQL, command: str) -> Report:
    done = await run(wish, broker, database)
    numbers = figures(done.history, done.inflicted, done.violations, done.answered)
    return Report(done, numbers, machine(), await versions(broker, database), command)


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=2) + "\n")
    (folder / "report.md").write_text(report.as_markdown())
    keep(report.run, folder)


def _refresh(report: Report, page: Path) -> None:
    if not report.run.good:
        print(f"{page} keeps its report: this run was not good", file=sys.stderr)
        return
    page.write_text(_BLOCK.sub(lambda block: block[1] + report.as_markdown().rstrip() + block[2], page.read_text()))


if __name__ == "__main__":
    sys.exit(main())

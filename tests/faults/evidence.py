"""What is kept of a run: its whole history, and the logs of all lives of all processes."""

from pathlib import Path

from tests.faults.chaos import Run


def keep(run: Run, folder: Path) -> None:
    """Write it into `folder`, in place of what an earlier run left there."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.iterdir():
        old.unlink()
    for name, log in run.logs.items():
        (logs / f"{name}.log").write_text(log)
    run.history.write(folder / "history.jsonl")

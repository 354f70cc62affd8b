from pathlib import Path

from backhaul.core.task.lifecycle import TRANSITIONS, mermaid

PAGE = Path(__file__).parents[3] / "docs" / "lifecycle.md"


def test_the_page_draws_the_life_of_a_task_from_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")

    rows = [f"| {', '.join(row.sources) or '∅'} | {row.trigger} | {row.target} | {row.guard} |" for row in TRANSITIONS]

    assert mermaid() in page
    assert "\n".join(rows) in page

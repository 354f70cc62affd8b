"""Chaos: the platform as it is deployed, under load and under faults, and what everyone saw of it, judged.

`python -m tests.faults` (`make chaos`) runs it for minutes, `test_chaos` for seconds. A run goes through these modules:

| module | does |
|---|---|
| `plan` | which fault hits whom, and when: by a seed |
| `fleet`, `process` | the processes, each behind links of its own that can be cut and held |
| `injector` | inflicts the plan, and heals |
| `kinds` | the services that work under it, and note what they do |
| `clients`, `watching`, `publishing` | the load, and what it sees |
| `hearing` | who listens to the public events |
| `record` | the record at the end: tasks, logs, what is left |
| `logs` | what the processes said |
| `chaos` | one run, from its deployment to the judgement |
| `figures`, `report`, `evidence` | what came of it, in numbers, on a page, and whole |

What is promised, and judged, is written in `tests/proof`.
"""

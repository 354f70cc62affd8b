"""The proof of the platform's invariants: what everyone saw, and a checker that finds what must not have happened.

`observations` says what can be seen, `history` collects it, `checker.check` judges it. All of it is pure, so the
deterministic simulation and runs of real processes under faults are judged by the same code.
"""

"""Who gets which task, decided without a database."""

from hypothesis import given
from hypothesis import strategies as st

from backhaul.store.assignment import Shelf, Waiting, assign, demand
from backhaul_contracts.claims import Capacity, Claim
from backhaul_contracts.ids import TaskId

A, B = Shelf("q", "test.a", "1"), Shelf("q", "test.b", "1")


def claim(limit: int, *capacities: tuple[str, int], queue: str = "q") -> Claim:
    return Claim(
        claim_id="clm",
        worker_id="wrk",
        queue=queue,
        limit=limit,
        capacities=[Capacity(kind=kind, version="1", count=count) for kind, count in capacities],
    )


def waiting(*tasks: tuple[int, str]) -> list[Waiting]:
    """Tasks by priority and id, best first."""
    return sorted(Waiting(-priority, TaskId(task_id)) for priority, task_id in tasks)


def test_the_best_of_all_kinds_comes_first() -> None:
    shelves = {A: waiting((0, "t1"), (5, "t4")), B: waiting((5, "t3"), (0, "t2"))}

    assert assign([claim(3, ("test.a", 9), ("test.b", 9))], shelves) == [["t3", "t4", "t1"]]


def test_a_claim_takes_what_the_ones_before_have_left() -> None:
    shelves = {A: waiting((0, "t1"), (0, "t2"), (0, "t3"))}

    assert assign([claim(2, ("test.a", 2)), claim(2, ("test.a", 2))], shelves) == [["t1", "t2"], ["t3"]]


def test_capacities_of_the_same_kind_add_up() -> None:
    asked = claim(3, ("test.a", 1), ("test.a", 1))
    shelves = {A: waiting((0, "t1"), (0, "t2"), (0, "t3"))}

    assert assign([asked], shelves) == [["t1", "t2"]]


def test_nothing_is_assigned_from_where_nothing_waits() -> None:
    assert assign([claim(3, ("test.a", 3)), claim(1, ("test.a", 1), queue="other")], {A: []}) == [[], []]


def test_the_demand_is_what_all_claims_could_take() -> None:
    claims = [claim(2, ("test.a", 5), ("test.b", 1)), claim(4, ("test.a", 3))]

    assert demand(claims) == {A: 5, B: 1}


CLAIMS = st.lists(
    st.builds(
        lambda limit, counts: claim(limit, *counts),
        st.integers(1, 5),
        st.lists(st.tuples(st.sampled_from(["test.a", "test.b"]), st.integers(1, 4)), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=5,
)
TASKS = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), max_size=25)


@given(CLAIMS, TASKS)
def test_it_is_what_serving_one_claim_after_another_would_give(
    claims: list[Claim], tasks: list[tuple[int, bool]]
) -> None:
    """Reading no more than the demand of each shelf loses nothing."""
    found: dict[Shelf, list[Waiting]] = {A: [], B: []}
    for number, (priority, of_b) in enumerate(tasks):
        found[B if of_b else A].append(Waiting(-priority, TaskId(f"t{number:02}")))
    most = demand(claims)
    shelves = {shelf: sorted(ready)[: most.get(shelf, 0)] for shelf, ready in found.items()}

    assigned = assign(claims, shelves)

    left = {shelf: sorted(ready) for shelf, ready in found.items()}
    assert assigned == [serve(claim, left) for claim in claims]


def serve(claim: Claim, left: dict[Shelf, list[Waiting]]) -> list[TaskId]:
    """The same in the plainest way: look at everything each time."""
    room: dict[Shelf, int] = {}
    for capacity in claim.capacities:
        shelf = Shelf(claim.queue, capacity.kind, capacity.version)
        room[shelf] = room.get(shelf, 0) + capacity.count
    taken: list[TaskId] = []
    while len(taken) < claim.limit:
        heads = [(left[shelf][0], shelf) for shelf, count in room.items() if count and left[shelf]]
        if not heads:
            break
        best, shelf = min(heads)
        taken.append(best.task_id)
        left[shelf].pop(0)
        room[shelf] -= 1
    return taken

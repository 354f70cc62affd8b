"""Whether a kind may be announced anew under the same version."""

from backhaul.core.schema.catalogue import schema_fault
from backhaul.core.schema.containment import Gap, gaps
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.wire import Json

_MOST = 5


def faults(spec: KindSpec) -> list[str]:
    """Why a kind cannot be announced at all, whatever was before."""
    schemas = {"input": spec.input_schema, "result": spec.result_schema}
    found = ((part, schema_fault(schema)) for part, schema in schemas.items())
    return [f"the schema of its {part} is not valid: {fault}" for part, fault in found if fault]


def breaks(before: KindSpec, now: KindSpec) -> list[str]:
    """What in `now` breaks a promise of `before`, a few words each; none, if it may take its place.

    Whoever submits by the input schema of before must be accepted; whoever reads by its result schema must understand.
    """
    refused = worded(before.input_schema, now.input_schema, read=True)
    changed = worded(before.result_schema, now.result_schema, read=False)
    found = [f"input{words}" for words in refused] + [f"result{words}" for words in changed]
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return found[:_MOST] + more


def worded(before: Json, now: Json, *, read: bool) -> list[str]:
    """What a change of a schema breaks, as ` /pointer: before → now`.

    `read`: others write by it, and we read; else we write, and others read by what was before.
    """
    if read:
        return [f"{_at(gap)}: {gap.sent} → {gap.wanted}" for gap in gaps(before, now)]
    return [f"{_at(gap)}: {gap.wanted} → {gap.sent}" for gap in gaps(now, before)]


def _at(gap: Gap) -> str:
    return f" {gap.pointer}" if gap.pointer else ""

"""Whether a kind may be announced anew under the same version."""

from backhaul.core.catalogue import schema_fault
from backhaul.core.containment import Gap, gaps
from backhaul_contracts.kinds import KindSpec

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
    refused = [f"input{_at(gap)}: {gap.sent} → {gap.wanted}" for gap in gaps(before.input_schema, now.input_schema)]
    changed = [f"result{_at(gap)}: {gap.wanted} → {gap.sent}" for gap in gaps(now.result_schema, before.result_schema)]
    found = refused + changed
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return found[:_MOST] + more


def _at(gap: Gap) -> str:
    return f" {gap.pointer}" if gap.pointer else ""

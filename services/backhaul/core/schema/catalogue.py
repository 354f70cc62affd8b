"""The kinds that services have announced, as this process knows them."""

import difflib
from datetime import timedelta

import jsonschema_rs

from backhaul.core.clock import Clock
from backhaul.core.errors import Rejected
from backhaul.core.freshness import Freshness
from backhaul.core.ports.store import Store
from backhaul_contracts import codec
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.problems import Fault, ProblemCode
from backhaul_contracts.wire import Json

MAX_FAULTS = 20
_LONGEST_MESSAGE = 400
_FRESH = timedelta(seconds=5)
_PATIENCE = timedelta(milliseconds=250)


class Catalogue:
    """Looks kinds up, and checks inputs against their schemas.

    What it knows is read from the store again when it is older than five seconds; older than a quarter of a second,
    when something is asked for that it does not know, or the whole list: so a new service is known at once.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._specs: dict[str, KindSpec] = {}
        self._validators: dict[str, tuple[KindSpec, jsonschema_rs.Validator]] = {}
        self._fresh = Freshness(clock, self._read)

    async def kinds(self) -> list[KindSpec]:
        """Every announced kind, by name."""
        await self._fresh.within(_PATIENCE)
        return list(self._specs.values())

    async def has_queue(self, name: str) -> bool:
        """Whether some announced kind waits in that queue."""
        await self._fresh.within(_FRESH)
        if not self._waits_in(name):
            await self._fresh.within(_PATIENCE)
        return self._waits_in(name)

    def _waits_in(self, queue: str) -> bool:
        return any(spec.queue == queue for spec in self._specs.values())

    async def kind(self, name: str) -> KindSpec:
        """The kind of that name. Raises `Rejected` (`unknown_kind`), naming near matches."""
        await self._fresh.within(_FRESH)
        if name not in self._specs:
            await self._fresh.within(_PATIENCE)
        spec = self._specs.get(name)
        if spec is None:
            raise Rejected(ProblemCode.UNKNOWN_KIND, self._unknown(name))
        return spec

    def check(self, spec: KindSpec, input: Json) -> None:
        """Return if `input` fits the kind. Raises `Rejected` (`invalid_input`) with a pointer to each fault."""
        validator = self._validator(spec)
        if validator.is_valid(input):
            return
        faults = []
        for error in validator.iter_errors(input):
            faults.append(Fault(pointer=_pointer("/input", error.instance_path), detail=_brief(error.message)))
            if len(faults) == MAX_FAULTS:
                break
        raise Rejected(ProblemCode.INVALID_INPUT, f"The input does not fit kind {spec.kind}.", errors=faults)

    async def _read(self) -> None:
        self._specs = {spec.kind: self._kept(spec) for spec in await self._store.kinds()}

    def _kept(self, spec: KindSpec) -> KindSpec:
        """The spec as it was known, if it is the same: so that what was made of it is found by identity."""
        known = self._specs.get(spec.kind)
        return known if known == spec else spec

    def _validator(self, spec: KindSpec) -> jsonschema_rs.Validator:
        known, validator = self._validators.get(spec.kind, (None, None))
        if known is spec and validator is not None:
            return validator
        if validator is None or known is None or known.input_schema != spec.input_schema:
            validator = validator_of(spec.input_schema)
        self._validators[spec.kind] = (spec, validator)
        return validator

    def _unknown(self, name: str) -> str:
        if not self._specs:
            return f"No kind {name!r} is known: no service has announced itself yet. Start a worker."
        near = difflib.get_close_matches(name, self._specs, n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else f"Known kinds: {', '.join(sorted(self._specs)[:10])}."
        return f"No service has announced a kind {name!r}. {hint}"


def validator_of(schema: Json) -> jsonschema_rs.Validator:
    """Checks values by `schema`. Raises `ValueError` for what is none, or refers to anything outside of itself."""
    return jsonschema_rs.validator_for(schema, retriever=_nothing_from_outside)


def _nothing_from_outside(uri: str) -> Json:
    raise ValueError(f"the schema refers to {uri}: define it within, under $defs")


def schema_fault(schema: Json) -> str | None:
    """Why `schema` cannot be used as a JSON Schema, or None if it can."""
    try:
        validator_of(schema)
    except ValueError as error:
        return str(error).partition("\n")[0]
    return None


def _pointer(root: str, path: list[str | int]) -> str:
    """RFC 6901."""
    return root + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _brief(message: str) -> str:
    """A message quotes the value, which may be as long as the body; what is wrong with it stands at the end."""
    half = _LONGEST_MESSAGE // 2
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:half]} … {message[-half:]}"


def decode(body: bytes) -> Json:
    """The JSON value of a request body. Raises `Rejected` (`malformed_json`)."""
    try:
        return codec.loads(body)
    except ValueError as error:
        raise Rejected(ProblemCode.MALFORMED_JSON, f"The body is not JSON in UTF-8: {error}.") from error

"""`linkcheck.check`: which of many links still lead somewhere."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from backhaul import Context, Fail, RetryPolicy, Service
from linkcheck.finding import Finding
from linkcheck.links import Format, extract
from linkcheck.settings import Settings
from linkcheck.visitor import Visitor, open_visitor

MAX_LINKS = 1000
SAVE_EVERY = 50  # findings, at most, that are lost with a worker

service = Service("linkcheck", version="1.0.0", slots=10)

Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2083)]


class Links(BaseModel):
    """Either a list of `urls`, or a `document` whose links are meant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [{"required": ["urls"]}, {"required": ["document"]}],
            "examples": [{"urls": ["https://example.org/"]}],
        },
    )

    urls: list[Url] = Field(default_factory=list, min_length=1, max_length=MAX_LINKS)
    document: str = Field(default_factory=str, max_length=1_000_000)
    format: Annotated[Format, Field(description="of the document")] = "markdown"
    base: Annotated[Url | None, Field(description="what relative links of the document count from")] = None
    timeout: Annotated[float, Field(gt=0, le=60, description="seconds for one request")] = 10
    concurrency: Annotated[int, Field(ge=1, le=100, description="requests at a time")] = 20

    @model_validator(mode="after")
    def has_one_source(self) -> Self:
        if ("urls" in self.model_fields_set) == ("document" in self.model_fields_set):
            raise ValueError("give either urls or a document")
        return self


class Totals(BaseModel):
    checked: int
    ok: int
    broken: int
    redirected: int


class Findings(BaseModel):
    links: Annotated[list[Finding], Field(description="in the order of the input, each address once")]
    totals: Totals


@service.resource
async def visitor() -> AsyncIterator[Visitor]:
    """One visitor, with its connections, for all tasks of a worker."""
    async with open_visitor(Settings()) as opened:
        yield opened


@service.handler("linkcheck.check", timeout="1h", retry=RetryPolicy(max_attempts=3, base="5s", cap="5m"))
async def check(links: Links, ctx: Context, visitor: Visitor) -> Findings:
    """Visits all links at once and streams each finding as soon as it is known."""
    urls = await addresses(links)
    places = asyncio.Semaphore(links.concurrency)
    patience = timedelta(seconds=links.timeout)
    known = restored(ctx)
    async with asyncio.TaskGroup() as group:
        visits = [group.create_task(visitor.visit(url, patience, places)) for url in urls if url not in known]
        for visit in asyncio.as_completed(visits):
            finding = await visit
            known[finding.url] = finding
            await tell(finding, ctx)
            await ctx.progress(len(known), len(urls), "checking")
            if len(known) % SAVE_EVERY == 0:
                await ctx.save([finding.model_dump(mode="json") for finding in known.values()])
    return summed([known[url] for url in urls])


async def addresses(links: Links) -> list[str]:
    """The addresses that are meant, each once."""
    urls = links.urls or await asyncio.to_thread(extract, links.document, links.format, links.base or "")
    if len(urls) > MAX_LINKS:
        raise Fail("rejected_input", f"The document has {len(urls)} links; at most {MAX_LINKS} are checked at once.")
    return list(dict.fromkeys(urls))


def restored(ctx: Context) -> dict[str, Finding]:
    """What an earlier attempt had found and told when it saved last."""
    return {finding.url: finding for finding in map(Finding.model_validate, ctx.checkpoint or [])}


async def tell(finding: Finding, ctx: Context) -> None:
    await ctx.output(finding.model_dump(mode="json"))
    if not finding.ok:
        reason = finding.error.code if finding.error else finding.status
        await ctx.log(f"{finding.url} is broken: {reason}", level="warning", url=finding.url, reason=reason)


def summed(findings: list[Finding]) -> Findings:
    ok = sum(finding.ok for finding in findings)
    redirected = sum(bool(finding.redirects) for finding in findings)
    totals = Totals(checked=len(findings), ok=ok, broken=len(findings) - ok, redirected=redirected)
    return Findings(links=findings, totals=totals)

"""`report.write`: what is in a document, whether its links lead anywhere, and how its pictures look."""

import asyncio
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backhaul import CallFailed, Context, Fail, Rejected, RetryPolicy, Service
from report.page import as_html, as_markdown
from report.parts import Part, parts

service = Service("report", version="1.0.0", slots=4)

Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2083)]


class Document(BaseModel):
    """A text in Markdown."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(pattern=r"\S", max_length=500_000)]
    title: Annotated[str, Field(max_length=300)] = "Report"
    base: Annotated[Url | None, Field(description="what relative links and pictures count from")] = None
    sentences: Annotated[int, Field(ge=1, le=20, description="of the summary")] = 5
    format: Annotated[Literal["markdown", "html"], Field(description="of the report")] = "markdown"


class Section(BaseModel):
    """What one task of another service has said."""

    kind: str
    heading: str
    text: Annotated[str, Field(description="in Markdown")]
    error: Annotated[str | None, Field(description="the code of what kept it from being written")] = None


class Report(BaseModel):
    format: Literal["markdown", "html"]
    report: str
    sections: Annotated[list[Section], Field(description="in the order of the report")]
    failed: Annotated[int, Field(description="sections that could not be written")]


@service.handler("report.write", timeout="10m", retry=RetryPolicy(max_attempts=5, base="1s", cap="1m"))
async def write(document: Document, ctx: Context) -> Report:
    """Has all sections written at once, and streams each as soon as it is."""
    wanted = await asyncio.to_thread(parts, document.text, document.title, document.base, document.sentences)
    await ctx.progress(0, len(wanted), "asking other services")
    async with asyncio.TaskGroup() as group:
        writing = [group.create_task(section(part, ctx)) for part in wanted]
        for done, each in enumerate(asyncio.as_completed(writing), start=1):
            written = await each
            await ctx.output(f"## {written.heading}\n\n{written.text}\n\n")
            await ctx.progress(done, len(wanted), written.heading)
    sections = [each.result() for each in writing]
    failed = sum(written.error is not None for written in sections)
    if failed == len(sections):
        raise Fail("nothing_written", "; ".join(f"{written.kind}: {written.error}" for written in sections))
    text = as_markdown(document.title, [(written.heading, written.text) for written in sections])
    report = as_html(document.title, text) if document.format == "html" else text
    return Report(format=document.format, report=report, sections=sections, failed=failed)


async def section(part: Part, ctx: Context) -> Section:
    """What the called task has said, or why it has said nothing: one that fails leaves the others their report."""
    try:
        result = await ctx.call(part.kind, part.input, timeout="5m")
    except CallFailed as failed:
        error = failed.error.code if failed.error else failed.status
        detail = failed.error and (failed.error.detail or failed.error.title)
    except Rejected as refusal:
        error, detail = refusal.code.value, str(refusal)
    except TimeoutError:
        error, detail = "timed_out", "It took longer than five minutes."
    else:
        return Section(kind=part.kind, heading=part.heading, text=part.shown(result))
    return Section(kind=part.kind, heading=part.heading, text=f"*Not available: {detail or error}*", error=error)

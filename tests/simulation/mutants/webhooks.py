"""Webhooks: recorded with their event, sent before they are noted, signed, and known by their ids."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from backhaul.core.ports.webhooks import DeliveryState, Mail, Postmark
from backhaul.core.task.record import RawJson
from backhaul.notifier import Notifier
from backhaul.notifier.signing import Signer
from backhaul_contracts.ids import new_id
from tests.simulation.mutants.registry import mutant


@mutant("I13", harm="notifier post before")
def a_notifier_notes_a_webhook_before_it_sends_it() -> AbstractContextManager[Any]:
    real = Notifier._try

    async def hasty(notifier: Notifier, mail: Mail) -> tuple[Postmark, bool]:
        await notifier._noted(Postmark(mail.id, mail.claim, DeliveryState.DELIVERED, 1, RawJson("{}")))
        return await real(notifier, mail)

    return patch.object(Notifier, "_try", hasty)


@mutant("I13", harm="notifier post before")
def what_a_notifier_has_taken_is_never_due_again() -> AbstractContextManager[Any]:
    return patch("backhaul.notifier.notifier.Notifier._take", _for_ever)


async def _for_ever(notifier: Notifier) -> Sequence[Mail]:
    targets = notifier._targets
    return await notifier._store.take_mail(targets.room, targets.most(), targets.each, timedelta(days=1))


@mutant("I13")
def each_try_of_a_webhook_has_an_id_of_its_own() -> AbstractContextManager[Any]:
    real = Signer.headers

    async def headers(signer: Signer, mail: Mail, now: datetime) -> dict[str, str]:
        return await real(signer, replace(mail, id=new_id("whd")), now)

    return patch.object(Signer, "headers", headers)


@mutant("I13")
def every_webhook_is_signed_with_the_secret_of_its_tenant() -> AbstractContextManager[Any]:
    real = Signer.headers

    async def headers(signer: Signer, mail: Mail, now: datetime) -> dict[str, str]:
        return await real(signer, replace(mail, secret=None), now)

    return patch.object(Signer, "headers", headers)


@mutant("I13")
def an_event_is_told_to_whoever_has_its_task_only() -> AbstractContextManager[Any]:
    return patch("backhaul.store.notifying._receivers", lambda *_: {})

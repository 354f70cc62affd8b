"""The store's part for webhooks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from backhaul.core.ports.webhooks import Delivery, DeliveryQuery, Endpoint, Mail, Postmark
from backhaul.store import duemail, endpoints, mailing
from backhaul.store.runner import Runner


class SqlWebhookStore:
    """`backhaul.core.ports.webhooks.WebhookStore` on a SQL database."""

    _runner: Runner
    _looked_at = ""
    """The last target that a look for what is due has come to."""

    async def tenant_secret(self, tenant: str, proposal: str) -> str:
        return await self._runner.transact(partial(endpoints.tenant_secret, tenant=tenant, proposal=proposal))

    async def add_endpoint(self, endpoint: Endpoint, most: int) -> bool:
        return await self._runner.transact(partial(endpoints.add, endpoint=endpoint, most=most))

    async def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        return await self._runner.read(partial(endpoints.endpoint, tenant=tenant, endpoint_id=endpoint_id))

    async def endpoints(self, tenant: str, before: str | None, limit: int) -> list[Endpoint]:
        return await self._runner.read(partial(endpoints.page, tenant=tenant, before=before, limit=limit))

    async def change_endpoint(
        self, tenant: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        return await self._runner.transact(partial(endpoints.change, tenant=tenant, endpoint_id=endpoint_id, to=change))

    async def remove_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        return await self._runner.transact(partial(endpoints.remove, tenant=tenant, endpoint_id=endpoint_id))

    async def add_delivery(self, delivery: Delivery, body: str) -> None:
        await self._runner.execute(partial(endpoints.add_delivery, delivery=delivery, body=body))

    async def deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        return await self._runner.read(partial(endpoints.deliveries_of, query=query))

    async def redeliver(self, query: DeliveryQuery, delivery_id: str) -> Delivery | None:
        return await self._runner.transact(partial(endpoints.redeliver, query=query, delivery_id=delivery_id))

    async def take_mail(self, room: int, most: Mapping[str, int], usual: int, lease: timedelta) -> list[Mail]:
        # Looking costs no transaction: mostly there is nothing.
        found, self._looked_at = await self._runner.read(partial(duemail.due, after=self._looked_at))
        targets = [target for target in found if most.get(target, usual) > 0]
        if not targets or room < 1:
            return []
        take = partial(mailing.take, targets=targets, room=room, most=most, usual=usual, lease=lease)
        return await self._runner.transact(take)

    async def note_mail(self, postmarks: Sequence[Postmark]) -> None:
        if postmarks:
            await self._runner.transact(partial(mailing.note, postmarks=postmarks))

    async def purge_deliveries(self, age: timedelta, limit: int) -> int:
        return await self._runner.execute(partial(mailing.purge, age=age, limit=limit))

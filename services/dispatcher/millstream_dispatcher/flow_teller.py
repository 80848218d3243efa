"""Tells workflows and batches what became of their jobs, for the messenger."""

from collections import defaultdict
from collections.abc import Sequence

from millstream_contracts import Queue, Tenant
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_streams import (
    BATCH_KIND,
    BATCHES_TYPE,
    WORKFLOW_KIND,
    Broker,
    FlowNews,
    News,
    StoreError,
    Told,
    in_calls,
    read_news,
)
from millstream_submission.flow_results import sealed_for_workflow


class FlowTeller:
    """Tells shards of workflows and of batches. To tell one again changes nothing."""

    def __init__(self, broker: Broker, closer: WorkflowCloser | None = None) -> None:
        self._broker = broker
        self._closer = closer

    async def tell(self, tenant: Tenant, news: Sequence[News]) -> tuple[list[Told], StoreError | None]:
        """Tell the workflows and batches of those jobs that are of one. Returns: what was told, and why not all was."""
        told: list[Told] = []
        by_shard: defaultdict[Queue, list[tuple[News, FlowNews]]] = defaultdict(list)
        for one in news:
            if not one.flow:
                continue
            read = read_news(one)
            shard = _shard_of(tenant, read.flow) if read else None
            if read is None or shard is None:
                # Another program wrote it: there is nothing to be told.
                told.append(_told(one))
            else:
                by_shard[shard].append((one, read))
        failure: StoreError | None = None
        for shard, pairs in by_shard.items():
            try:
                for some in in_calls(pairs):
                    await self._note(shard, [read for _, read in some])
                    told += [_told(one) for one, _ in some]
            except StoreError as error:
                failure = error
        return told, failure

    async def _note(self, shard: Queue, news: Sequence[FlowNews]) -> None:
        if shard.type == BATCHES_TYPE:
            await self._broker.batches.note(shard, news)
            return
        codec = self._broker.codec
        told = [await sealed_for_workflow(codec, shard.tenant, one) for one in news]
        ended = await self._broker.workflows.note(shard, told)
        if self._closer:
            await self._closer.close(shard.tenant, ended)


def _shard_of(tenant: Tenant, flow_id: str) -> Queue | None:
    return WORKFLOW_KIND.shard_of(tenant, flow_id) or BATCH_KIND.shard_of(tenant, flow_id)


def _told(one: News) -> Told:
    return Told(one.id, one.version, None, is_kept=False)

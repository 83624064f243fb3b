from contextlib import suppress

from pellucid_server.errors import PellucidError
from pellucid_server.rpc.exchange import Exchange
from pellucid_server.runtime.repository import ModelRepository


def about(exchange: Exchange, models: ModelRepository, name: str) -> None:
    """Notes the model of a call, under its own name, where there is one."""
    with suppress(PellucidError):
        exchange.model = models.entry(name).name

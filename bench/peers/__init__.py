"""Who is measured. One file per kind of server; ``ALL`` is the order of the tables."""

from __future__ import annotations

from bench.peers import api, database, django, limits, quintette, realtime
from bench.peers.base import Peer, Variant

ALL: list[Peer] = [
    *quintette.PEERS,
    *api.PEERS,
    *django.PEERS,
    *limits.PEERS,
    *realtime.PEERS,
    *database.PEERS,
]
BY_NAME = {peer.name: peer for peer in ALL}

__all__ = ["ALL", "BY_NAME", "Peer", "Variant"]

"""ClaimNext: one of many candidates, in one call."""

from coordinator.service.next.candidate_lists import CandidateLists
from coordinator.service.next.placement import Placements
from coordinator.service.next.pool_order import Piece
from coordinator.service.next.pool_overview import PoolListing, PoolOverview
from coordinator.service.next.pool_placement import PoolPlacements
from coordinator.service.next.pool_view import PoolView
from coordinator.service.next.pools import Pools
from coordinator.service.next.shared_looks import Looks
from coordinator.service.next.taken_view import Views

__all__ = [
    "CandidateLists",
    "Looks",
    "Piece",
    "Placements",
    "PoolListing",
    "PoolOverview",
    "PoolPlacements",
    "PoolView",
    "Pools",
    "Views",
]

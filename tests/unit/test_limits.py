"""The ranges of what may be asked for."""

from __future__ import annotations

import math

import pytest

from coordinator.errors import InvalidInput
from coordinator.limits import check_page_size, check_ttl
from coordinator.server_limits import LimitSettings, check_quota


@pytest.mark.parametrize("seconds", [5, 5.0, 3600, 604_800])
def test_a_ttl_within_its_range_is_returned(seconds: float) -> None:
    assert check_ttl(seconds) == seconds


@pytest.mark.parametrize("seconds", [0, -5, 4.999, 604_800.001, 1e300, math.inf, -math.inf, math.nan])
def test_a_ttl_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInput, match=r"out of range; allowed are 5 s to 7 days \(604800 s\)") as caught:
        check_ttl(seconds)
    assert caught.value.field == "ttl"
    assert ("renew" if seconds > 604_800 else "claim for 5 s or more") in (caught.value.hint or "")


@pytest.mark.parametrize(("size", "meant"), [(0, 100), (1, 1), (1000, 1000)])
def test_a_page_size_within_its_range_is_returned_and_none_is_a_hundred(size: int, meant: int) -> None:
    assert check_page_size(size) == meant


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1])
def test_a_page_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(InvalidInput, match="allowed are 1 to 1000") as caught:
        check_page_size(size)
    assert caught.value.field == "page_size"


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_calls", 1), ("max_calls", 1_000_001), ("max_claims_per_session", -1), ("max_claims_per_fleet", -1)],
)
def test_a_limit_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidInput, match=f"{value} is out of range") as caught:
        LimitSettings(**{name: value})
    assert caught.value.field == name.replace("_", "-")


def test_a_quota_is_checked_where_there_is_one() -> None:
    assert check_quota(None) is None
    assert check_quota(16 * 1024 * 1024) == 16 * 1024 * 1024
    with pytest.raises(InvalidInput, match="etcd-quota-bytes"):
        check_quota(0)

"""Which request is withdrawn once a call has its answer, while other tries of it may still be sent or carried out.

Invariant: what an error asks the caller to repeat with the same ``request_id`` is not withdrawn.
"""

from __future__ import annotations

from typing import Any

from coordinator.errors import TryAgain, error_for_code
from coordinator.v1 import service_pb2 as pb

__all__ = ["WITHDRAWABLE", "withdrawal_of"]

#: Those of them that name no session: they are withdrawn as an operator's, but for the last.
_OPERATORS, _ACKNOWLEDGE = frozenset({"Revoke", "Reopen", "SetPolicy", "UnsetPolicy"}), "Acknowledge"
#: The methods whose requests can be withdrawn: all that change something, but for Reap, which is never tried twice.
WITHDRAWABLE = frozenset(
    {
        "Claim",
        "ClaimMany",
        "ClaimNext",
        "Renew",
        "RenewMany",
        "Complete",
        "Release",
        "Submit",
        *_OPERATORS,
        _ACKNOWLEDGE,
    }
)


def withdrawal_of(method: str, request: Any, response: Any) -> pb.WithdrawRequest | None:
    """Return what withdraws a request that was answered; ``response`` is None for one that was refused.

    None where there is nothing to withdraw.
    """
    if method not in WITHDRAWABLE:
        return None
    if method in _OPERATORS or method == _ACKNOWLEDGE:
        return pb.WithdrawRequest(
            fleet=request.fleet, items=[_item(request, 0)], acknowledgements=method == _ACKNOWLEDGE
        )
    withdrawal = pb.WithdrawRequest(fleet=request.fleet, session=request.session)
    if method not in ("ClaimMany", "RenewMany", "Submit"):
        withdrawal.items.append(_item(request, _token_answered(method, response)))
        return withdrawal
    for number, item in enumerate(request.items):
        result = None if response is None else response.results[number]
        if result is not None and result.HasField("error"):
            if not issubclass(error_for_code(result.error.code), TryAgain):
                withdrawal.items.append(_item(item, 0))
        elif result is None or method == "Submit":
            withdrawal.items.append(_item(item, 0))
        else:
            claim = result.claim if method == "RenewMany" else result.answer.claim
            withdrawal.items.append(_item(item, claim.fencing_token))
    return withdrawal if withdrawal.items else None


def _token_answered(method: str, response: Any) -> int:
    return 0 if response is None or method not in ("Claim", "ClaimNext", "Renew") else int(response.claim.fencing_token)


def _item(request: Any, token: int) -> pb.WithdrawItem:
    ttl = request.ttl if "ttl" in request.DESCRIPTOR.fields_by_name and request.HasField("ttl") else None
    # A ClaimNext names none: what was granted says which one it was.
    work_key = getattr(request, "work_key", "")
    pattern = request.policy.pattern if isinstance(request, pb.SetPolicyRequest) else getattr(request, "pattern", "")
    return pb.WithdrawItem(
        work_key=work_key, request_id=request.request_id, fencing_token=token, ttl=ttl, pattern=pattern
    )

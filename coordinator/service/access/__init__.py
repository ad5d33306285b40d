"""Authorization: credentials, what each of them grants, and the check of every call."""

from coordinator.service.access.authorization import RULES, Authorizer, Rule
from coordinator.service.access.reflection import add_guarded_reflection
from coordinator.service.access.tokens_reload import CredentialsFile

__all__ = [
    "RULES",
    "Authorizer",
    "CredentialsFile",
    "Rule",
    "add_guarded_reflection",
]

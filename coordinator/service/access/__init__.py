"""Authorization: credentials, what each of them grants, and the check of every call."""

from coordinator.service.access.authorization import RULES, Authorizer, Rule
from coordinator.service.access.credentials import Credentials, CredentialsFile, read_credentials
from coordinator.service.access.grants import Grant, Role
from coordinator.service.access.reflection import add_guarded_reflection

__all__ = [
    "RULES",
    "Authorizer",
    "Credentials",
    "CredentialsFile",
    "Grant",
    "Role",
    "Rule",
    "add_guarded_reflection",
    "read_credentials",
]

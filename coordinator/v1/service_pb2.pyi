from coordinator.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_OK: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_PROBLEM: _ClassVar[Severity]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_OK: Severity
SEVERITY_WARNING: Severity
SEVERITY_PROBLEM: Severity

class ClaimRequest(_message.Message):
    __slots__ = ("fleet", "session", "work_key", "ttl", "note", "reopen", "request_id", "instance", "fencing_token", "repeat_after", "wait", "distinct_from")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REOPEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REPEAT_AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FROM_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    work_key: str
    ttl: _duration_pb2.Duration
    note: str
    reopen: bool
    request_id: str
    instance: str
    fencing_token: int
    repeat_after: _duration_pb2.Duration
    wait: _duration_pb2.Duration
    distinct_from: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., work_key: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ..., reopen: bool = ..., request_id: _Optional[str] = ..., instance: _Optional[str] = ..., fencing_token: _Optional[int] = ..., repeat_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., distinct_from: _Optional[_Iterable[str]] = ...) -> None: ...

class ClaimResponse(_message.Message):
    __slots__ = ("outcome", "work_key", "typed_key", "claim", "denial", "previous", "new_fleet", "brief", "blocked_by", "waited", "similar", "similar_unknown")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TYPED_KEY_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    NEW_FLEET_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    outcome: _types_pb2.Outcome
    work_key: str
    typed_key: str
    claim: _types_pb2.Claim
    denial: _types_pb2.Denial
    previous: _types_pb2.PreviousAttempt
    new_fleet: bool
    brief: str
    blocked_by: _containers.RepeatedScalarFieldContainer[str]
    waited: _duration_pb2.Duration
    similar: _containers.RepeatedCompositeFieldContainer[_types_pb2.SimilarTopic]
    similar_unknown: bool
    def __init__(self, outcome: _Optional[_Union[_types_pb2.Outcome, str]] = ..., work_key: _Optional[str] = ..., typed_key: _Optional[str] = ..., claim: _Optional[_Union[_types_pb2.Claim, _Mapping]] = ..., denial: _Optional[_Union[_types_pb2.Denial, _Mapping]] = ..., previous: _Optional[_Union[_types_pb2.PreviousAttempt, _Mapping]] = ..., new_fleet: bool = ..., brief: _Optional[str] = ..., blocked_by: _Optional[_Iterable[str]] = ..., waited: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., similar: _Optional[_Iterable[_Union[_types_pb2.SimilarTopic, _Mapping]]] = ..., similar_unknown: bool = ...) -> None: ...

class Dependencies(_message.Message):
    __slots__ = ("work_keys",)
    WORK_KEYS_FIELD_NUMBER: _ClassVar[int]
    work_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, work_keys: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitItem(_message.Message):
    __slots__ = ("work_key", "priority", "brief", "depends", "withdraw", "reopen", "request_id")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    REOPEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    priority: int
    brief: str
    depends: Dependencies
    withdraw: bool
    reopen: bool
    request_id: str
    def __init__(self, work_key: _Optional[str] = ..., priority: _Optional[int] = ..., brief: _Optional[str] = ..., depends: _Optional[_Union[Dependencies, _Mapping]] = ..., withdraw: bool = ..., reopen: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("fleet", "session", "items")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    items: _containers.RepeatedCompositeFieldContainer[SubmitItem]
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., items: _Optional[_Iterable[_Union[SubmitItem, _Mapping]]] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("work_key", "typed_key", "outcome", "unknown")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Submission.Outcome]
        OUTCOME_CREATED: _ClassVar[Submission.Outcome]
        OUTCOME_UPDATED: _ClassVar[Submission.Outcome]
        OUTCOME_WITHDRAWN: _ClassVar[Submission.Outcome]
    OUTCOME_UNSPECIFIED: Submission.Outcome
    OUTCOME_CREATED: Submission.Outcome
    OUTCOME_UPDATED: Submission.Outcome
    OUTCOME_WITHDRAWN: Submission.Outcome
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TYPED_KEY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    typed_key: str
    outcome: Submission.Outcome
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, work_key: _Optional[str] = ..., typed_key: _Optional[str] = ..., outcome: _Optional[_Union[Submission.Outcome, str]] = ..., unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitResult(_message.Message):
    __slots__ = ("answer", "error")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    answer: Submission
    error: _types_pb2.ErrorDetail
    def __init__(self, answer: _Optional[_Union[Submission, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class ClaimItem(_message.Message):
    __slots__ = ("work_key", "ttl", "note", "reopen", "request_id", "fencing_token", "distinct_from")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REOPEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FROM_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    ttl: _duration_pb2.Duration
    note: str
    reopen: bool
    request_id: str
    fencing_token: int
    distinct_from: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, work_key: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ..., reopen: bool = ..., request_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., distinct_from: _Optional[_Iterable[str]] = ...) -> None: ...

class ClaimManyRequest(_message.Message):
    __slots__ = ("fleet", "session", "instance", "items")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    instance: str
    items: _containers.RepeatedCompositeFieldContainer[ClaimItem]
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., instance: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ClaimItem, _Mapping]]] = ...) -> None: ...

class ClaimResult(_message.Message):
    __slots__ = ("answer", "error")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    answer: ClaimResponse
    error: _types_pb2.ErrorDetail
    def __init__(self, answer: _Optional[_Union[ClaimResponse, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class ClaimManyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ClaimResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ClaimResult, _Mapping]]] = ...) -> None: ...

class ClaimNextRequest(_message.Message):
    __slots__ = ("fleet", "session", "candidates", "ttl", "note", "request_id", "instance", "repeat_after", "from_pool", "kind", "explain", "wait", "distinct_from")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    REPEAT_AFTER_FIELD_NUMBER: _ClassVar[int]
    FROM_POOL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FROM_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    candidates: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    note: str
    request_id: str
    instance: str
    repeat_after: _duration_pb2.Duration
    from_pool: bool
    kind: str
    explain: bool
    wait: _duration_pb2.Duration
    distinct_from: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., candidates: _Optional[_Iterable[str]] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ..., request_id: _Optional[str] = ..., instance: _Optional[str] = ..., repeat_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., from_pool: bool = ..., kind: _Optional[str] = ..., explain: bool = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., distinct_from: _Optional[_Iterable[str]] = ...) -> None: ...

class ClaimNextResponse(_message.Message):
    __slots__ = ("outcome", "work_key", "typed_key", "claim", "denial", "previous", "choice", "new_fleet", "brief", "blocked_by", "waited", "similar", "similar_unknown")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TYPED_KEY_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    NEW_FLEET_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    outcome: _types_pb2.Outcome
    work_key: str
    typed_key: str
    claim: _types_pb2.Claim
    denial: _types_pb2.Denial
    previous: _types_pb2.PreviousAttempt
    choice: _types_pb2.Choice
    new_fleet: bool
    brief: str
    blocked_by: _containers.RepeatedScalarFieldContainer[str]
    waited: _duration_pb2.Duration
    similar: _containers.RepeatedCompositeFieldContainer[_types_pb2.SimilarTopic]
    similar_unknown: bool
    def __init__(self, outcome: _Optional[_Union[_types_pb2.Outcome, str]] = ..., work_key: _Optional[str] = ..., typed_key: _Optional[str] = ..., claim: _Optional[_Union[_types_pb2.Claim, _Mapping]] = ..., denial: _Optional[_Union[_types_pb2.Denial, _Mapping]] = ..., previous: _Optional[_Union[_types_pb2.PreviousAttempt, _Mapping]] = ..., choice: _Optional[_Union[_types_pb2.Choice, _Mapping]] = ..., new_fleet: bool = ..., brief: _Optional[str] = ..., blocked_by: _Optional[_Iterable[str]] = ..., waited: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., similar: _Optional[_Iterable[_Union[_types_pb2.SimilarTopic, _Mapping]]] = ..., similar_unknown: bool = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("fleet", "session", "work_key", "ttl", "note", "request_id", "instance", "fencing_token")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    work_key: str
    ttl: _duration_pb2.Duration
    note: str
    request_id: str
    instance: str
    fencing_token: int
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., work_key: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ..., request_id: _Optional[str] = ..., instance: _Optional[str] = ..., fencing_token: _Optional[int] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("claim",)
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    claim: _types_pb2.Claim
    def __init__(self, claim: _Optional[_Union[_types_pb2.Claim, _Mapping]] = ...) -> None: ...

class RenewItem(_message.Message):
    __slots__ = ("work_key", "ttl", "note", "request_id", "fencing_token")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    ttl: _duration_pb2.Duration
    note: str
    request_id: str
    fencing_token: int
    def __init__(self, work_key: _Optional[str] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ..., request_id: _Optional[str] = ..., fencing_token: _Optional[int] = ...) -> None: ...

class RenewManyRequest(_message.Message):
    __slots__ = ("fleet", "session", "instance", "items")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    instance: str
    items: _containers.RepeatedCompositeFieldContainer[RenewItem]
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., instance: _Optional[str] = ..., items: _Optional[_Iterable[_Union[RenewItem, _Mapping]]] = ...) -> None: ...

class RenewResult(_message.Message):
    __slots__ = ("claim", "error")
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    claim: _types_pb2.Claim
    error: _types_pb2.ErrorDetail
    def __init__(self, claim: _Optional[_Union[_types_pb2.Claim, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class RenewManyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RenewResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RenewResult, _Mapping]]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("fleet", "session", "work_key", "result", "request_id", "fencing_token")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    work_key: str
    result: str
    request_id: str
    fencing_token: int
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., work_key: _Optional[str] = ..., result: _Optional[str] = ..., request_id: _Optional[str] = ..., fencing_token: _Optional[int] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("fleet", "session", "work_key", "reason", "request_id", "fencing_token", "failed")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    work_key: str
    reason: str
    request_id: str
    fencing_token: int
    failed: bool
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., work_key: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., failed: bool = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ...) -> None: ...

class WithdrawItem(_message.Message):
    __slots__ = ("work_key", "request_id", "fencing_token", "ttl", "pattern")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    request_id: str
    fencing_token: int
    ttl: _duration_pb2.Duration
    pattern: str
    def __init__(self, work_key: _Optional[str] = ..., request_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., pattern: _Optional[str] = ...) -> None: ...

class WithdrawRequest(_message.Message):
    __slots__ = ("fleet", "session", "items", "acknowledgements")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    items: _containers.RepeatedCompositeFieldContainer[WithdrawItem]
    acknowledgements: bool
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., items: _Optional[_Iterable[_Union[WithdrawItem, _Mapping]]] = ..., acknowledgements: bool = ...) -> None: ...

class WithdrawResponse(_message.Message):
    __slots__ = ("released",)
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    released: int
    def __init__(self, released: _Optional[int] = ...) -> None: ...

class FindSimilarRequest(_message.Message):
    __slots__ = ("fleet", "work_key")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    work_key: str
    def __init__(self, fleet: _Optional[str] = ..., work_key: _Optional[str] = ...) -> None: ...

class FindSimilarResponse(_message.Message):
    __slots__ = ("work_key", "similar")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    similar: _containers.RepeatedCompositeFieldContainer[_types_pb2.SimilarTopic]
    def __init__(self, work_key: _Optional[str] = ..., similar: _Optional[_Iterable[_Union[_types_pb2.SimilarTopic, _Mapping]]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("fleet", "work_key")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    work_key: str
    def __init__(self, fleet: _Optional[str] = ..., work_key: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("record", "claim", "contenders", "history", "revision", "work")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    claim: _types_pb2.Claim
    contenders: _containers.RepeatedScalarFieldContainer[str]
    history: _containers.RepeatedCompositeFieldContainer[_types_pb2.HistoryEntry]
    revision: int
    work: PoolWork
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ..., claim: _Optional[_Union[_types_pb2.Claim, _Mapping]] = ..., contenders: _Optional[_Iterable[str]] = ..., history: _Optional[_Iterable[_Union[_types_pb2.HistoryEntry, _Mapping]]] = ..., revision: _Optional[int] = ..., work: _Optional[_Union[PoolWork, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("session", "attempt", "failed_at", "cause", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILED_AT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: str
    attempt: int
    failed_at: _timestamp_pb2.Timestamp
    cause: _types_pb2.Cause
    reason: str
    def __init__(self, session: _Optional[str] = ..., attempt: _Optional[int] = ..., failed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[_types_pb2.Cause, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class PoolWork(_message.Message):
    __slots__ = ("state", "priority", "brief", "depends", "blocked_by", "submitted_at", "submitted_by", "failure_count", "failures", "not_before")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[PoolWork.State]
        STATE_POOLED: _ClassVar[PoolWork.State]
        STATE_COMPLETED: _ClassVar[PoolWork.State]
        STATE_FAILED: _ClassVar[PoolWork.State]
        STATE_WITHDRAWN: _ClassVar[PoolWork.State]
    STATE_UNSPECIFIED: PoolWork.State
    STATE_POOLED: PoolWork.State
    STATE_COMPLETED: PoolWork.State
    STATE_FAILED: PoolWork.State
    STATE_WITHDRAWN: PoolWork.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_BY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    state: PoolWork.State
    priority: int
    brief: str
    depends: _containers.RepeatedScalarFieldContainer[str]
    blocked_by: _containers.RepeatedScalarFieldContainer[str]
    submitted_at: _timestamp_pb2.Timestamp
    submitted_by: str
    failure_count: int
    failures: _containers.RepeatedCompositeFieldContainer[Failure]
    not_before: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[PoolWork.State, str]] = ..., priority: _Optional[int] = ..., brief: _Optional[str] = ..., depends: _Optional[_Iterable[str]] = ..., blocked_by: _Optional[_Iterable[str]] = ..., submitted_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., submitted_by: _Optional[str] = ..., failure_count: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ..., not_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("fleet", "states", "kind", "session", "page_size", "page_token")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    states: _containers.RepeatedScalarFieldContainer[_types_pb2.State]
    kind: str
    session: str
    page_size: int
    page_token: str
    def __init__(self, fleet: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_types_pb2.State, str]]] = ..., kind: _Optional[str] = ..., session: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("records", "next_page_token", "revision", "damaged")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_types_pb2.Record]
    next_page_token: str
    revision: int
    damaged: int
    def __init__(self, records: _Optional[_Iterable[_Union[_types_pb2.Record, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ..., damaged: _Optional[int] = ...) -> None: ...

class PoolEntry(_message.Message):
    __slots__ = ("work_key", "kind", "state", "priority", "submitted_at", "holder", "expires_at", "blocked_by", "not_before", "failure_count", "failed_at")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[PoolEntry.State]
        STATE_AVAILABLE: _ClassVar[PoolEntry.State]
        STATE_HELD: _ClassVar[PoolEntry.State]
        STATE_BLOCKED: _ClassVar[PoolEntry.State]
        STATE_RETURNED: _ClassVar[PoolEntry.State]
        STATE_FAILED: _ClassVar[PoolEntry.State]
    STATE_UNSPECIFIED: PoolEntry.State
    STATE_AVAILABLE: PoolEntry.State
    STATE_HELD: PoolEntry.State
    STATE_BLOCKED: PoolEntry.State
    STATE_RETURNED: PoolEntry.State
    STATE_FAILED: PoolEntry.State
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_AT_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    kind: str
    state: PoolEntry.State
    priority: int
    submitted_at: _timestamp_pb2.Timestamp
    holder: str
    expires_at: _timestamp_pb2.Timestamp
    blocked_by: _containers.RepeatedScalarFieldContainer[str]
    not_before: _timestamp_pb2.Timestamp
    failure_count: int
    failed_at: _timestamp_pb2.Timestamp
    def __init__(self, work_key: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[PoolEntry.State, str]] = ..., priority: _Optional[int] = ..., submitted_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., holder: _Optional[str] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., blocked_by: _Optional[_Iterable[str]] = ..., not_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failure_count: _Optional[int] = ..., failed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PoolCounts(_message.Message):
    __slots__ = ("available", "held", "blocked", "returned", "failed")
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    available: int
    held: int
    blocked: int
    returned: int
    failed: int
    def __init__(self, available: _Optional[int] = ..., held: _Optional[int] = ..., blocked: _Optional[int] = ..., returned: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class ListPoolRequest(_message.Message):
    __slots__ = ("fleet", "states", "kind", "page_size", "page_token")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    states: _containers.RepeatedScalarFieldContainer[PoolEntry.State]
    kind: str
    page_size: int
    page_token: str
    def __init__(self, fleet: _Optional[str] = ..., states: _Optional[_Iterable[_Union[PoolEntry.State, str]]] = ..., kind: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPoolResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "counts")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[PoolEntry]
    next_page_token: str
    counts: PoolCounts
    def __init__(self, entries: _Optional[_Iterable[_Union[PoolEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., counts: _Optional[_Union[PoolCounts, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("fleet", "start_revision", "kind", "session")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    START_REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    start_revision: int
    kind: str
    session: str
    def __init__(self, fleet: _Optional[str] = ..., start_revision: _Optional[int] = ..., kind: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("event", "revision", "record", "contender", "holder", "at")
    class Event(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EVENT_UNSPECIFIED: _ClassVar[WatchResponse.Event]
        EVENT_GRANTED: _ClassVar[WatchResponse.Event]
        EVENT_RENEWED: _ClassVar[WatchResponse.Event]
        EVENT_DENIED: _ClassVar[WatchResponse.Event]
        EVENT_COMPLETED: _ClassVar[WatchResponse.Event]
        EVENT_ABANDONED: _ClassVar[WatchResponse.Event]
        EVENT_SUBMITTED: _ClassVar[WatchResponse.Event]
        EVENT_FAILED: _ClassVar[WatchResponse.Event]
    EVENT_UNSPECIFIED: WatchResponse.Event
    EVENT_GRANTED: WatchResponse.Event
    EVENT_RENEWED: WatchResponse.Event
    EVENT_DENIED: WatchResponse.Event
    EVENT_COMPLETED: WatchResponse.Event
    EVENT_ABANDONED: WatchResponse.Event
    EVENT_SUBMITTED: WatchResponse.Event
    EVENT_FAILED: WatchResponse.Event
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CONTENDER_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    event: WatchResponse.Event
    revision: int
    record: _types_pb2.Record
    contender: str
    holder: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, event: _Optional[_Union[WatchResponse.Event, str]] = ..., revision: _Optional[int] = ..., record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ..., contender: _Optional[str] = ..., holder: _Optional[str] = ..., at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReapRequest(_message.Message):
    __slots__ = ("fleet", "min_age", "dry_run")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    MIN_AGE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    min_age: _duration_pb2.Duration
    dry_run: bool
    def __init__(self, fleet: _Optional[str] = ..., min_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., dry_run: bool = ...) -> None: ...

class ReapResponse(_message.Message):
    __slots__ = ("reaped", "expired")
    REAPED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    reaped: int
    expired: _containers.RepeatedCompositeFieldContainer[_types_pb2.Record]
    def __init__(self, reaped: _Optional[int] = ..., expired: _Optional[_Iterable[_Union[_types_pb2.Record, _Mapping]]] = ...) -> None: ...

class BriefingRequest(_message.Message):
    __slots__ = ("fleet", "kinds", "max_age", "max_characters", "session", "repository")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    MAX_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    max_age: _duration_pb2.Duration
    max_characters: int
    session: str
    repository: str
    def __init__(self, fleet: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., max_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_characters: _Optional[int] = ..., session: _Optional[str] = ..., repository: _Optional[str] = ...) -> None: ...

class BriefingResponse(_message.Message):
    __slots__ = ("generated_at", "revision", "taken", "loose_ends", "finished", "omitted_taken", "omitted_loose_ends", "omitted_finished", "markdown", "omitted_held", "repository", "elsewhere_taken", "elsewhere_loose_ends", "elsewhere_finished", "pooled", "failed")
    GENERATED_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    LOOSE_ENDS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    OMITTED_TAKEN_FIELD_NUMBER: _ClassVar[int]
    OMITTED_LOOSE_ENDS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FINISHED_FIELD_NUMBER: _ClassVar[int]
    MARKDOWN_FIELD_NUMBER: _ClassVar[int]
    OMITTED_HELD_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    ELSEWHERE_TAKEN_FIELD_NUMBER: _ClassVar[int]
    ELSEWHERE_LOOSE_ENDS_FIELD_NUMBER: _ClassVar[int]
    ELSEWHERE_FINISHED_FIELD_NUMBER: _ClassVar[int]
    POOLED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    generated_at: _timestamp_pb2.Timestamp
    revision: int
    taken: _containers.RepeatedCompositeFieldContainer[_types_pb2.Claim]
    loose_ends: _containers.RepeatedCompositeFieldContainer[_types_pb2.Record]
    finished: _containers.RepeatedCompositeFieldContainer[_types_pb2.Record]
    omitted_taken: int
    omitted_loose_ends: int
    omitted_finished: int
    markdown: str
    omitted_held: int
    repository: str
    elsewhere_taken: int
    elsewhere_loose_ends: int
    elsewhere_finished: int
    pooled: int
    failed: int
    def __init__(self, generated_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., taken: _Optional[_Iterable[_Union[_types_pb2.Claim, _Mapping]]] = ..., loose_ends: _Optional[_Iterable[_Union[_types_pb2.Record, _Mapping]]] = ..., finished: _Optional[_Iterable[_Union[_types_pb2.Record, _Mapping]]] = ..., omitted_taken: _Optional[int] = ..., omitted_loose_ends: _Optional[int] = ..., omitted_finished: _Optional[int] = ..., markdown: _Optional[str] = ..., omitted_held: _Optional[int] = ..., repository: _Optional[str] = ..., elsewhere_taken: _Optional[int] = ..., elsewhere_loose_ends: _Optional[int] = ..., elsewhere_finished: _Optional[int] = ..., pooled: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class HotRequest(_message.Message):
    __slots__ = ("fleet", "kind", "limit", "max_age")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    kind: str
    limit: int
    max_age: _duration_pb2.Duration
    def __init__(self, fleet: _Optional[str] = ..., kind: _Optional[str] = ..., limit: _Optional[int] = ..., max_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HotKey(_message.Message):
    __slots__ = ("work_key", "kind", "contenders", "recent_contenders", "holder", "attempt", "expires_at", "state")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    RECENT_CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    kind: str
    contenders: int
    recent_contenders: int
    holder: str
    attempt: int
    expires_at: _timestamp_pb2.Timestamp
    state: _types_pb2.State
    def __init__(self, work_key: _Optional[str] = ..., kind: _Optional[str] = ..., contenders: _Optional[int] = ..., recent_contenders: _Optional[int] = ..., holder: _Optional[str] = ..., attempt: _Optional[int] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[_types_pb2.State, str]] = ...) -> None: ...

class HotResponse(_message.Message):
    __slots__ = ("entries", "complete", "max_age")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[HotKey]
    complete: bool
    max_age: _duration_pb2.Duration
    def __init__(self, entries: _Optional[_Iterable[_Union[HotKey, _Mapping]]] = ..., complete: bool = ..., max_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LogRequest(_message.Message):
    __slots__ = ("fleet", "session", "since", "page_size", "page_token")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    session: str
    since: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, fleet: _Optional[str] = ..., session: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("work_key", "attempt", "ended", "cause", "ended_at", "session")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    attempt: int
    ended: _types_pb2.State
    cause: _types_pb2.Cause
    ended_at: _timestamp_pb2.Timestamp
    session: str
    def __init__(self, work_key: _Optional[str] = ..., attempt: _Optional[int] = ..., ended: _Optional[_Union[_types_pb2.State, str]] = ..., cause: _Optional[_Union[_types_pb2.Cause, str]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., session: _Optional[str] = ...) -> None: ...

class LogResponse(_message.Message):
    __slots__ = ("session", "entries", "next_page_token")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session: str
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    next_page_token: str
    def __init__(self, session: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AcknowledgeRequest(_message.Message):
    __slots__ = ("fleet", "work_key", "reason", "request_id")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    work_key: str
    reason: str
    request_id: str
    def __init__(self, fleet: _Optional[str] = ..., work_key: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AcknowledgeResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("fleet", "work_key", "reason", "request_id", "at_once")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    work_key: str
    reason: str
    request_id: str
    at_once: bool
    def __init__(self, fleet: _Optional[str] = ..., work_key: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., at_once: bool = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ...) -> None: ...

class ReopenRequest(_message.Message):
    __slots__ = ("fleet", "work_key", "reason", "request_id")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    work_key: str
    reason: str
    request_id: str
    def __init__(self, fleet: _Optional[str] = ..., work_key: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ReopenResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: _types_pb2.Record
    def __init__(self, record: _Optional[_Union[_types_pb2.Record, _Mapping]] = ...) -> None: ...

class ImportItem(_message.Message):
    __slots__ = ("work_key", "state", "session", "attempt", "claimed_at", "remaining", "ended_at", "cause", "reason", "result", "note", "brief", "repeatable")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    REPEATABLE_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    state: _types_pb2.State
    session: str
    attempt: int
    claimed_at: _timestamp_pb2.Timestamp
    remaining: _duration_pb2.Duration
    ended_at: _timestamp_pb2.Timestamp
    cause: _types_pb2.Cause
    reason: str
    result: str
    note: str
    brief: str
    repeatable: bool
    def __init__(self, work_key: _Optional[str] = ..., state: _Optional[_Union[_types_pb2.State, str]] = ..., session: _Optional[str] = ..., attempt: _Optional[int] = ..., claimed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[_types_pb2.Cause, str]] = ..., reason: _Optional[str] = ..., result: _Optional[str] = ..., note: _Optional[str] = ..., brief: _Optional[str] = ..., repeatable: bool = ...) -> None: ...

class ImportRequest(_message.Message):
    __slots__ = ("fleet", "items", "dry_run")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    items: _containers.RepeatedCompositeFieldContainer[ImportItem]
    dry_run: bool
    def __init__(self, fleet: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ImportItem, _Mapping]]] = ..., dry_run: bool = ...) -> None: ...

class Imported(_message.Message):
    __slots__ = ("work_key", "outcome", "state", "session")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Imported.Outcome]
        OUTCOME_IMPORTED: _ClassVar[Imported.Outcome]
        OUTCOME_KNOWN: _ClassVar[Imported.Outcome]
        OUTCOME_TOO_OLD: _ClassVar[Imported.Outcome]
    OUTCOME_UNSPECIFIED: Imported.Outcome
    OUTCOME_IMPORTED: Imported.Outcome
    OUTCOME_KNOWN: Imported.Outcome
    OUTCOME_TOO_OLD: Imported.Outcome
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    outcome: Imported.Outcome
    state: _types_pb2.State
    session: str
    def __init__(self, work_key: _Optional[str] = ..., outcome: _Optional[_Union[Imported.Outcome, str]] = ..., state: _Optional[_Union[_types_pb2.State, str]] = ..., session: _Optional[str] = ...) -> None: ...

class ImportResult(_message.Message):
    __slots__ = ("answer", "error")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    answer: Imported
    error: _types_pb2.ErrorDetail
    def __init__(self, answer: _Optional[_Union[Imported, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class ImportResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ImportResult, _Mapping]]] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("fleet", "policy", "request_id")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    policy: _types_pb2.Policy
    request_id: str
    def __init__(self, fleet: _Optional[str] = ..., policy: _Optional[_Union[_types_pb2.Policy, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _types_pb2.Policy
    def __init__(self, policy: _Optional[_Union[_types_pb2.Policy, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ("fleet",)
    FLEET_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    def __init__(self, fleet: _Optional[str] = ...) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "defaults")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[_types_pb2.Policy]
    defaults: _types_pb2.Policy
    def __init__(self, policies: _Optional[_Iterable[_Union[_types_pb2.Policy, _Mapping]]] = ..., defaults: _Optional[_Union[_types_pb2.Policy, _Mapping]] = ...) -> None: ...

class UnsetPolicyRequest(_message.Message):
    __slots__ = ("fleet", "pattern", "request_id")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    pattern: str
    request_id: str
    def __init__(self, fleet: _Optional[str] = ..., pattern: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UnsetPolicyResponse(_message.Message):
    __slots__ = ("removed", "pattern")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    removed: bool
    pattern: str
    def __init__(self, removed: bool = ..., pattern: _Optional[str] = ...) -> None: ...

class ListFleetsRequest(_message.Message):
    __slots__ = ("fleet",)
    FLEET_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    def __init__(self, fleet: _Optional[str] = ...) -> None: ...

class FleetUse(_message.Message):
    __slots__ = ("name", "live_claims", "records")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIVE_CLAIMS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    live_claims: int
    records: int
    def __init__(self, name: _Optional[str] = ..., live_claims: _Optional[int] = ..., records: _Optional[int] = ...) -> None: ...

class ListFleetsResponse(_message.Message):
    __slots__ = ("fleets", "complete")
    FLEETS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    fleets: _containers.RepeatedCompositeFieldContainer[FleetUse]
    complete: bool
    def __init__(self, fleets: _Optional[_Iterable[_Union[FleetUse, _Mapping]]] = ..., complete: bool = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("fleet", "progress")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    progress: bool
    def __init__(self, fleet: _Optional[str] = ..., progress: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("last_grant", "last_completion", "longest_held", "blockers", "pool", "pool_blockers")
    LAST_GRANT_FIELD_NUMBER: _ClassVar[int]
    LAST_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    LONGEST_HELD_FIELD_NUMBER: _ClassVar[int]
    BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    POOL_BLOCKERS_FIELD_NUMBER: _ClassVar[int]
    last_grant: _timestamp_pb2.Timestamp
    last_completion: _timestamp_pb2.Timestamp
    longest_held: _containers.RepeatedCompositeFieldContainer[_types_pb2.Claim]
    blockers: _containers.RepeatedCompositeFieldContainer[HotKey]
    pool: PoolCounts
    pool_blockers: _containers.RepeatedCompositeFieldContainer[PoolBlocker]
    def __init__(self, last_grant: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_completion: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., longest_held: _Optional[_Iterable[_Union[_types_pb2.Claim, _Mapping]]] = ..., blockers: _Optional[_Iterable[_Union[HotKey, _Mapping]]] = ..., pool: _Optional[_Union[PoolCounts, _Mapping]] = ..., pool_blockers: _Optional[_Iterable[_Union[PoolBlocker, _Mapping]]] = ...) -> None: ...

class PoolBlocker(_message.Message):
    __slots__ = ("work_key", "blocks", "state", "holder", "unknown")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    blocks: int
    state: PoolEntry.State
    holder: str
    unknown: bool
    def __init__(self, work_key: _Optional[str] = ..., blocks: _Optional[int] = ..., state: _Optional[_Union[PoolEntry.State, str]] = ..., holder: _Optional[str] = ..., unknown: bool = ...) -> None: ...

class CoordinatorStatus(_message.Message):
    __slots__ = ("version", "endpoint", "uptime")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    endpoint: str
    uptime: _duration_pb2.Duration
    def __init__(self, version: _Optional[str] = ..., endpoint: _Optional[str] = ..., uptime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class EtcdStatus(_message.Message):
    __slots__ = ("version", "members", "leader", "quorum", "db_size_bytes", "quota_bytes", "warnings")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    DB_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    version: str
    members: int
    leader: str
    quorum: bool
    db_size_bytes: int
    quota_bytes: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., members: _Optional[int] = ..., leader: _Optional[str] = ..., quorum: bool = ..., db_size_bytes: _Optional[int] = ..., quota_bytes: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ReaperStatus(_message.Message):
    __slots__ = ("leader", "revision_lag")
    LEADER_FIELD_NUMBER: _ClassVar[int]
    REVISION_LAG_FIELD_NUMBER: _ClassVar[int]
    leader: str
    revision_lag: int
    def __init__(self, leader: _Optional[str] = ..., revision_lag: _Optional[int] = ...) -> None: ...

class ConvergenceRate(_message.Message):
    __slots__ = ("window", "value", "granted", "denied")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    window: _duration_pb2.Duration
    value: float
    granted: int
    denied: int
    def __init__(self, window: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., value: _Optional[float] = ..., granted: _Optional[int] = ..., denied: _Optional[int] = ...) -> None: ...

class BackgroundTask(_message.Message):
    __slots__ = ("name", "failing", "consecutive_failures", "error", "failing_for", "running_for", "since_success")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAILING_FOR_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FOR_FIELD_NUMBER: _ClassVar[int]
    SINCE_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    failing: bool
    consecutive_failures: int
    error: str
    failing_for: _duration_pb2.Duration
    running_for: _duration_pb2.Duration
    since_success: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., failing: bool = ..., consecutive_failures: _Optional[int] = ..., error: _Optional[str] = ..., failing_for: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., running_for: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., since_success: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("healthy", "coordinator", "etcd", "reaper", "live_claims", "loose_ends", "completed", "convergence_rate", "tasks", "progress")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    ETCD_FIELD_NUMBER: _ClassVar[int]
    REAPER_FIELD_NUMBER: _ClassVar[int]
    LIVE_CLAIMS_FIELD_NUMBER: _ClassVar[int]
    LOOSE_ENDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    CONVERGENCE_RATE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    coordinator: CoordinatorStatus
    etcd: EtcdStatus
    reaper: ReaperStatus
    live_claims: int
    loose_ends: int
    completed: int
    convergence_rate: ConvergenceRate
    tasks: _containers.RepeatedCompositeFieldContainer[BackgroundTask]
    progress: Progress
    def __init__(self, healthy: bool = ..., coordinator: _Optional[_Union[CoordinatorStatus, _Mapping]] = ..., etcd: _Optional[_Union[EtcdStatus, _Mapping]] = ..., reaper: _Optional[_Union[ReaperStatus, _Mapping]] = ..., live_claims: _Optional[int] = ..., loose_ends: _Optional[int] = ..., completed: _Optional[int] = ..., convergence_rate: _Optional[_Union[ConvergenceRate, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[BackgroundTask, _Mapping]]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class DiagnoseRequest(_message.Message):
    __slots__ = ("fleet",)
    FLEET_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    def __init__(self, fleet: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("check", "severity", "message", "advice", "subject", "value", "unit")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    check: str
    severity: Severity
    message: str
    advice: str
    subject: str
    value: float
    unit: str
    def __init__(self, check: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., message: _Optional[str] = ..., advice: _Optional[str] = ..., subject: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class DiagnoseResponse(_message.Message):
    __slots__ = ("findings", "version", "endpoint", "received_at", "answered_at")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    version: str
    endpoint: str
    received_at: _timestamp_pb2.Timestamp
    answered_at: _timestamp_pb2.Timestamp
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., version: _Optional[str] = ..., endpoint: _Optional[str] = ..., received_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., answered_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

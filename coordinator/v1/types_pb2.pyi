from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_AVAILABLE: _ClassVar[State]
    STATE_CLAIMED: _ClassVar[State]
    STATE_COMPLETED: _ClassVar[State]
    STATE_ABANDONED: _ClassVar[State]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_EXPIRED: _ClassVar[Cause]
    CAUSE_RELEASED: _ClassVar[Cause]
    CAUSE_REVOKED: _ClassVar[Cause]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_GRANTED: _ClassVar[Outcome]
    OUTCOME_RENEWED: _ClassVar[Outcome]
    OUTCOME_DENIED: _ClassVar[Outcome]
    OUTCOME_WAITING: _ClassVar[Outcome]

class DenialReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DENIAL_REASON_UNSPECIFIED: _ClassVar[DenialReason]
    DENIAL_REASON_HELD: _ClassVar[DenialReason]
    DENIAL_REASON_COMPLETED: _ClassVar[DenialReason]
    DENIAL_REASON_COOLDOWN: _ClassVar[DenialReason]
    DENIAL_REASON_LIMIT: _ClassVar[DenialReason]
    DENIAL_REASON_SIMILAR: _ClassVar[DenialReason]

class SkipReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SKIP_REASON_UNSPECIFIED: _ClassVar[SkipReason]
    SKIP_REASON_HELD: _ClassVar[SkipReason]
    SKIP_REASON_COMPLETED: _ClassVar[SkipReason]
    SKIP_REASON_COOLDOWN: _ClassVar[SkipReason]
    SKIP_REASON_LIMIT: _ClassVar[SkipReason]
    SKIP_REASON_SIMILAR: _ClassVar[SkipReason]
    SKIP_REASON_OWN: _ClassVar[SkipReason]
    SKIP_REASON_BLOCKED: _ClassVar[SkipReason]
    SKIP_REASON_RETURNED: _ClassVar[SkipReason]
    SKIP_REASON_FAILED: _ClassVar[SkipReason]

class NothingFree(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTHING_FREE_UNSPECIFIED: _ClassVar[NothingFree]
    NOTHING_FREE_EMPTY: _ClassVar[NothingFree]
    NOTHING_FREE_HELD: _ClassVar[NothingFree]
    NOTHING_FREE_BLOCKED: _ClassVar[NothingFree]
    NOTHING_FREE_FAILED: _ClassVar[NothingFree]

class Repeat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPEAT_UNSPECIFIED: _ClassVar[Repeat]
    REPEAT_NEVER: _ClassVar[Repeat]
    REPEAT_ALWAYS: _ClassVar[Repeat]
    REPEAT_AFTER: _ClassVar[Repeat]

class Similar(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIMILAR_UNSPECIFIED: _ClassVar[Similar]
    SIMILAR_OFF: _ClassVar[Similar]
    SIMILAR_TELL: _ClassVar[Similar]
    SIMILAR_ASK: _ClassVar[Similar]
STATE_UNSPECIFIED: State
STATE_AVAILABLE: State
STATE_CLAIMED: State
STATE_COMPLETED: State
STATE_ABANDONED: State
CAUSE_UNSPECIFIED: Cause
CAUSE_EXPIRED: Cause
CAUSE_RELEASED: Cause
CAUSE_REVOKED: Cause
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_GRANTED: Outcome
OUTCOME_RENEWED: Outcome
OUTCOME_DENIED: Outcome
OUTCOME_WAITING: Outcome
DENIAL_REASON_UNSPECIFIED: DenialReason
DENIAL_REASON_HELD: DenialReason
DENIAL_REASON_COMPLETED: DenialReason
DENIAL_REASON_COOLDOWN: DenialReason
DENIAL_REASON_LIMIT: DenialReason
DENIAL_REASON_SIMILAR: DenialReason
SKIP_REASON_UNSPECIFIED: SkipReason
SKIP_REASON_HELD: SkipReason
SKIP_REASON_COMPLETED: SkipReason
SKIP_REASON_COOLDOWN: SkipReason
SKIP_REASON_LIMIT: SkipReason
SKIP_REASON_SIMILAR: SkipReason
SKIP_REASON_OWN: SkipReason
SKIP_REASON_BLOCKED: SkipReason
SKIP_REASON_RETURNED: SkipReason
SKIP_REASON_FAILED: SkipReason
NOTHING_FREE_UNSPECIFIED: NothingFree
NOTHING_FREE_EMPTY: NothingFree
NOTHING_FREE_HELD: NothingFree
NOTHING_FREE_BLOCKED: NothingFree
NOTHING_FREE_FAILED: NothingFree
REPEAT_UNSPECIFIED: Repeat
REPEAT_NEVER: Repeat
REPEAT_ALWAYS: Repeat
REPEAT_AFTER: Repeat
SIMILAR_UNSPECIFIED: Similar
SIMILAR_OFF: Similar
SIMILAR_TELL: Similar
SIMILAR_ASK: Similar

class Skipped(_message.Message):
    __slots__ = ("work_key", "reason", "holder", "expires_at")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    reason: SkipReason
    holder: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, work_key: _Optional[str] = ..., reason: _Optional[_Union[SkipReason, str]] = ..., holder: _Optional[str] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("place", "skipped", "skipped_counts", "also_held", "nothing_free", "from_pool")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNTS_FIELD_NUMBER: _ClassVar[int]
    ALSO_HELD_FIELD_NUMBER: _ClassVar[int]
    NOTHING_FREE_FIELD_NUMBER: _ClassVar[int]
    FROM_POOL_FIELD_NUMBER: _ClassVar[int]
    place: int
    skipped: _containers.RepeatedCompositeFieldContainer[Skipped]
    skipped_counts: _containers.RepeatedCompositeFieldContainer[SkippedCount]
    also_held: _containers.RepeatedScalarFieldContainer[str]
    nothing_free: NothingFree
    from_pool: bool
    def __init__(self, place: _Optional[int] = ..., skipped: _Optional[_Iterable[_Union[Skipped, _Mapping]]] = ..., skipped_counts: _Optional[_Iterable[_Union[SkippedCount, _Mapping]]] = ..., also_held: _Optional[_Iterable[str]] = ..., nothing_free: _Optional[_Union[NothingFree, str]] = ..., from_pool: bool = ...) -> None: ...

class SkippedCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: SkipReason
    count: int
    def __init__(self, reason: _Optional[_Union[SkipReason, str]] = ..., count: _Optional[int] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("work_key", "kind", "session", "attempt", "fencing_token", "ttl", "claimed_at", "expires_at", "remaining", "note")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    kind: str
    session: str
    attempt: int
    fencing_token: int
    ttl: _duration_pb2.Duration
    claimed_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    remaining: _duration_pb2.Duration
    note: str
    def __init__(self, work_key: _Optional[str] = ..., kind: _Optional[str] = ..., session: _Optional[str] = ..., attempt: _Optional[int] = ..., fencing_token: _Optional[int] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., claimed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class Denial(_message.Message):
    __slots__ = ("reason", "holder", "own_session", "completed_by", "expires_at", "completed_at", "retry_after", "alternatives", "policy")
    REASON_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    OWN_SESSION_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    reason: DenialReason
    holder: str
    own_session: bool
    completed_by: str
    expires_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    retry_after: _duration_pb2.Duration
    alternatives: _containers.RepeatedScalarFieldContainer[str]
    policy: str
    def __init__(self, reason: _Optional[_Union[DenialReason, str]] = ..., holder: _Optional[str] = ..., own_session: bool = ..., completed_by: _Optional[str] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., alternatives: _Optional[_Iterable[str]] = ..., policy: _Optional[str] = ...) -> None: ...

class SimilarTopic(_message.Message):
    __slots__ = ("work_key", "state", "session", "score", "since")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    state: State
    session: str
    score: float
    since: _timestamp_pb2.Timestamp
    def __init__(self, work_key: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., session: _Optional[str] = ..., score: _Optional[float] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("pattern", "repeat", "repeat_after", "max_live", "max_attempts", "loose_ends", "built_in", "similar")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    REPEAT_FIELD_NUMBER: _ClassVar[int]
    REPEAT_AFTER_FIELD_NUMBER: _ClassVar[int]
    MAX_LIVE_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LOOSE_ENDS_FIELD_NUMBER: _ClassVar[int]
    BUILT_IN_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    repeat: Repeat
    repeat_after: _duration_pb2.Duration
    max_live: int
    max_attempts: int
    loose_ends: bool
    built_in: bool
    similar: Similar
    def __init__(self, pattern: _Optional[str] = ..., repeat: _Optional[_Union[Repeat, str]] = ..., repeat_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_live: _Optional[int] = ..., max_attempts: _Optional[int] = ..., loose_ends: bool = ..., built_in: bool = ..., similar: _Optional[_Union[Similar, str]] = ...) -> None: ...

class PreviousAttempt(_message.Message):
    __slots__ = ("attempt", "session", "cause", "reason", "note", "ended_at")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    session: str
    cause: Cause
    reason: str
    note: str
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[int] = ..., session: _Optional[str] = ..., cause: _Optional[_Union[Cause, str]] = ..., reason: _Optional[str] = ..., note: _Optional[str] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("work_key", "kind", "state", "session", "attempt", "fencing_token", "cause", "reason", "result", "note", "claimed_at", "expires_at", "ended_at", "late", "acknowledged_at", "acknowledged_reason")
    WORK_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_AT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_REASON_FIELD_NUMBER: _ClassVar[int]
    work_key: str
    kind: str
    state: State
    session: str
    attempt: int
    fencing_token: int
    cause: Cause
    reason: str
    result: str
    note: str
    claimed_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    late: bool
    acknowledged_at: _timestamp_pb2.Timestamp
    acknowledged_reason: str
    def __init__(self, work_key: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., session: _Optional[str] = ..., attempt: _Optional[int] = ..., fencing_token: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ..., reason: _Optional[str] = ..., result: _Optional[str] = ..., note: _Optional[str] = ..., claimed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., late: bool = ..., acknowledged_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged_reason: _Optional[str] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("attempt", "session", "fencing_token", "claimed_at", "ended_at", "ended", "cause", "reason", "result", "note", "late", "contenders")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    CONTENDERS_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    session: str
    fencing_token: int
    claimed_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    ended: State
    cause: Cause
    reason: str
    result: str
    note: str
    late: bool
    contenders: int
    def __init__(self, attempt: _Optional[int] = ..., session: _Optional[str] = ..., fencing_token: _Optional[int] = ..., claimed_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended: _Optional[_Union[State, str]] = ..., cause: _Optional[_Union[Cause, str]] = ..., reason: _Optional[str] = ..., result: _Optional[str] = ..., note: _Optional[str] = ..., late: bool = ..., contenders: _Optional[int] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("code", "message", "hint", "field", "holder", "retry_after", "request_id", "claim_lost")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CLAIM_LOST_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    hint: str
    field: str
    holder: str
    retry_after: _duration_pb2.Duration
    request_id: str
    claim_lost: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., field: _Optional[str] = ..., holder: _Optional[str] = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., claim_lost: bool = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Member(_message.Message):
    __slots__ = ("node_id", "az", "address", "retired")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    address: str
    retired: bool
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., address: _Optional[str] = ..., retired: _Optional[bool] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("member", "candidate", "tail")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    member: str
    candidate: str
    tail: bool
    def __init__(self, member: _Optional[str] = ..., candidate: _Optional[str] = ..., tail: _Optional[bool] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("slots", "membership_epoch", "away", "away_next")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    AWAY_NEXT_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    membership_epoch: int
    away: str
    away_next: str
    def __init__(self, slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., membership_epoch: _Optional[int] = ..., away: _Optional[str] = ..., away_next: _Optional[str] = ...) -> None: ...

class Descriptor(_message.Message):
    __slots__ = ("volume_id", "generation", "membership_epoch", "geometry_epoch", "pages_per_pg", "nodes", "groups", "proposer_epoch")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_PER_PG_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    generation: int
    membership_epoch: int
    geometry_epoch: int
    pages_per_pg: int
    nodes: _containers.RepeatedCompositeFieldContainer[Member]
    groups: _containers.RepeatedCompositeFieldContainer[Group]
    proposer_epoch: int
    def __init__(self, volume_id: _Optional[bytes] = ..., generation: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., geometry_epoch: _Optional[int] = ..., pages_per_pg: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[Group, _Mapping]]] = ..., proposer_epoch: _Optional[int] = ...) -> None: ...

class PgLsn(_message.Message):
    __slots__ = ("pg", "lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    lsn: int
    def __init__(self, pg: _Optional[int] = ..., lsn: _Optional[int] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "sequence", "batches", "vdl", "pgmrpl", "membership_epoch")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    sequence: int
    batches: bytes
    vdl: int
    pgmrpl: int
    membership_epoch: int
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., sequence: _Optional[int] = ..., batches: _Optional[bytes] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., membership_epoch: _Optional[int] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("sequence", "scl", "refused_epoch", "error", "refused_membership")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REFUSED_MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    scl: _containers.RepeatedCompositeFieldContainer[PgLsn]
    refused_epoch: int
    error: str
    refused_membership: int
    def __init__(self, sequence: _Optional[int] = ..., scl: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ..., refused_epoch: _Optional[int] = ..., error: _Optional[str] = ..., refused_membership: _Optional[int] = ...) -> None: ...

class PageAt(_message.Message):
    __slots__ = ("page_no", "pg_lsn", "read_point")
    PAGE_NO_FIELD_NUMBER: _ClassVar[int]
    PG_LSN_FIELD_NUMBER: _ClassVar[int]
    READ_POINT_FIELD_NUMBER: _ClassVar[int]
    page_no: int
    pg_lsn: int
    read_point: int
    def __init__(self, page_no: _Optional[int] = ..., pg_lsn: _Optional[int] = ..., read_point: _Optional[int] = ...) -> None: ...

class ReadPagesRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "pages", "membership_epoch", "request_id")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    pages: _containers.RepeatedCompositeFieldContainer[PageAt]
    membership_epoch: int
    request_id: int
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., pages: _Optional[_Iterable[_Union[PageAt, _Mapping]]] = ..., membership_epoch: _Optional[int] = ..., request_id: _Optional[int] = ...) -> None: ...

class PageImage(_message.Message):
    __slots__ = ("page_no", "image", "scl", "behind", "collected")
    PAGE_NO_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FIELD_NUMBER: _ClassVar[int]
    page_no: int
    image: bytes
    scl: int
    behind: bool
    collected: bool
    def __init__(self, page_no: _Optional[int] = ..., image: _Optional[bytes] = ..., scl: _Optional[int] = ..., behind: _Optional[bool] = ..., collected: _Optional[bool] = ...) -> None: ...

class ReadPagesReply(_message.Message):
    __slots__ = ("pages", "request_id", "error")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedCompositeFieldContainer[PageImage]
    request_id: int
    error: str
    def __init__(self, pages: _Optional[_Iterable[_Union[PageImage, _Mapping]]] = ..., request_id: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class FenceRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "opened")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    opened: bool
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., opened: _Optional[bool] = ...) -> None: ...

class Truncation(_message.Message):
    __slots__ = ("epoch", "vdl", "upper")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    vdl: int
    upper: int
    def __init__(self, epoch: _Optional[int] = ..., vdl: _Optional[int] = ..., upper: _Optional[int] = ...) -> None: ...

class PgState(_message.Message):
    __slots__ = ("pg", "scl", "highest_lsn", "collected_lsn", "vdl_hint", "scl_cpl", "hollow", "staged_lsn", "staging_from")
    PG_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    VDL_HINT_FIELD_NUMBER: _ClassVar[int]
    SCL_CPL_FIELD_NUMBER: _ClassVar[int]
    HOLLOW_FIELD_NUMBER: _ClassVar[int]
    STAGED_LSN_FIELD_NUMBER: _ClassVar[int]
    STAGING_FROM_FIELD_NUMBER: _ClassVar[int]
    pg: int
    scl: int
    highest_lsn: int
    collected_lsn: int
    vdl_hint: int
    scl_cpl: int
    hollow: bool
    staged_lsn: int
    staging_from: int
    def __init__(self, pg: _Optional[int] = ..., scl: _Optional[int] = ..., highest_lsn: _Optional[int] = ..., collected_lsn: _Optional[int] = ..., vdl_hint: _Optional[int] = ..., scl_cpl: _Optional[int] = ..., hollow: _Optional[bool] = ..., staged_lsn: _Optional[int] = ..., staging_from: _Optional[int] = ...) -> None: ...

class FenceReply(_message.Message):
    __slots__ = ("adopted", "epoch", "writer_id", "pgs", "truncations", "descriptor", "log_port", "forgetful")
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    LOG_PORT_FIELD_NUMBER: _ClassVar[int]
    FORGETFUL_FIELD_NUMBER: _ClassVar[int]
    adopted: bool
    epoch: int
    writer_id: str
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor: Descriptor
    log_port: int
    forgetful: bool
    def __init__(self, adopted: _Optional[bool] = ..., epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., log_port: _Optional[int] = ..., forgetful: _Optional[bool] = ...) -> None: ...

class TruncateRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "range", "descriptor")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    range: Truncation
    descriptor: Descriptor
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., range: _Optional[_Union[Truncation, _Mapping]] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ...) -> None: ...

class TruncateReply(_message.Message):
    __slots__ = ("ok", "epoch")
    OK_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    epoch: int
    def __init__(self, ok: _Optional[bool] = ..., epoch: _Optional[int] = ...) -> None: ...

class FetchLogRequest(_message.Message):
    __slots__ = ("volume_id", "pg", "after_lsn", "upto_lsn", "membership_epoch")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PG_FIELD_NUMBER: _ClassVar[int]
    AFTER_LSN_FIELD_NUMBER: _ClassVar[int]
    UPTO_LSN_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    pg: int
    after_lsn: int
    upto_lsn: int
    membership_epoch: int
    def __init__(self, volume_id: _Optional[bytes] = ..., pg: _Optional[int] = ..., after_lsn: _Optional[int] = ..., upto_lsn: _Optional[int] = ..., membership_epoch: _Optional[int] = ...) -> None: ...

class FetchLogReply(_message.Message):
    __slots__ = ("batches", "collected_lsn", "collected", "scl")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FIELD_NUMBER: _ClassVar[int]
    SCL_FIELD_NUMBER: _ClassVar[int]
    batches: bytes
    collected_lsn: int
    collected: bool
    scl: int
    def __init__(self, batches: _Optional[bytes] = ..., collected_lsn: _Optional[int] = ..., collected: _Optional[bool] = ..., scl: _Optional[int] = ...) -> None: ...

class FetchRangeRequest(_message.Message):
    __slots__ = ("volume_id", "pg", "first", "count", "floor_lsn", "membership_epoch", "checked")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PG_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FLOOR_LSN_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    pg: int
    first: int
    count: int
    floor_lsn: int
    membership_epoch: int
    checked: bool
    def __init__(self, volume_id: _Optional[bytes] = ..., pg: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., floor_lsn: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., checked: _Optional[bool] = ...) -> None: ...

class PageRun(_message.Message):
    __slots__ = ("first", "count")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class FetchRangeReply(_message.Message):
    __slots__ = ("collected_lsn", "collected_cpl", "end", "runs", "pages", "crc32c", "floor_lsn")
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_CPL_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    FLOOR_LSN_FIELD_NUMBER: _ClassVar[int]
    collected_lsn: int
    collected_cpl: int
    end: int
    runs: _containers.RepeatedCompositeFieldContainer[PageRun]
    pages: bytes
    crc32c: int
    floor_lsn: int
    def __init__(self, collected_lsn: _Optional[int] = ..., collected_cpl: _Optional[int] = ..., end: _Optional[int] = ..., runs: _Optional[_Iterable[_Union[PageRun, _Mapping]]] = ..., pages: _Optional[bytes] = ..., crc32c: _Optional[int] = ..., floor_lsn: _Optional[int] = ...) -> None: ...

class GossipRequest(_message.Message):
    __slots__ = ("volume_id", "node_id", "volume_epoch", "pgs", "vdl", "pgmrpl", "truncations", "descriptor_generation", "writer_id", "descriptor_epoch", "membership_epoch", "staged_vdl")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_GENERATION_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STAGED_VDL_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    node_id: str
    volume_epoch: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor_generation: int
    writer_id: str
    descriptor_epoch: int
    membership_epoch: int
    staged_vdl: int
    def __init__(self, volume_id: _Optional[bytes] = ..., node_id: _Optional[str] = ..., volume_epoch: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor_generation: _Optional[int] = ..., writer_id: _Optional[str] = ..., descriptor_epoch: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., staged_vdl: _Optional[int] = ...) -> None: ...

class GossipReply(_message.Message):
    __slots__ = ("node_id", "volume_epoch", "pgs", "vdl", "pgmrpl", "truncations", "descriptor_generation", "writer_id", "descriptor_epoch", "membership_epoch", "staged_vdl")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_GENERATION_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STAGED_VDL_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    volume_epoch: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    descriptor_generation: int
    writer_id: str
    descriptor_epoch: int
    membership_epoch: int
    staged_vdl: int
    def __init__(self, node_id: _Optional[str] = ..., volume_epoch: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., descriptor_generation: _Optional[int] = ..., writer_id: _Optional[str] = ..., descriptor_epoch: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., staged_vdl: _Optional[int] = ...) -> None: ...

class AdvanceRequest(_message.Message):
    __slots__ = ("volume_id", "volume_epoch", "writer_id", "vdl", "pgmrpl", "pg_last")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    PG_LAST_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    vdl: int
    pgmrpl: int
    pg_last: _containers.RepeatedCompositeFieldContainer[PgLsn]
    def __init__(self, volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., pg_last: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ...) -> None: ...

class AdvanceReply(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RepairStatus(_message.Message):
    __slots__ = ("kind", "peer_id", "done", "total", "fetched_bytes", "running_s")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FETCHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_S_FIELD_NUMBER: _ClassVar[int]
    kind: str
    peer_id: str
    done: int
    total: int
    fetched_bytes: int
    running_s: int
    def __init__(self, kind: _Optional[str] = ..., peer_id: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., fetched_bytes: _Optional[int] = ..., running_s: _Optional[int] = ...) -> None: ...

class PgStatus(_message.Message):
    __slots__ = ("pg", "entries", "pending", "log_bytes", "page_bytes", "broken_pages", "repair")
    PG_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BROKEN_PAGES_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    pg: int
    entries: int
    pending: int
    log_bytes: int
    page_bytes: int
    broken_pages: int
    repair: RepairStatus
    def __init__(self, pg: _Optional[int] = ..., entries: _Optional[int] = ..., pending: _Optional[int] = ..., log_bytes: _Optional[int] = ..., page_bytes: _Optional[int] = ..., broken_pages: _Optional[int] = ..., repair: _Optional[_Union[RepairStatus, _Mapping]] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("node_id", "az", "volume_id", "volume_epoch", "writer_id", "pgs", "vdl", "pgmrpl", "log_bytes", "page_bytes", "cached_pages", "state", "pid", "note", "log_port", "membership_epoch", "geometry_epoch", "pg_status", "descriptor", "scrub", "index_bytes", "index_bytes_max", "refills", "backup")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_PAGES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LOG_PORT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PG_STATUS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    SCRUB_FIELD_NUMBER: _ClassVar[int]
    INDEX_BYTES_FIELD_NUMBER: _ClassVar[int]
    INDEX_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    REFILLS_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    volume_id: bytes
    volume_epoch: int
    writer_id: str
    pgs: _containers.RepeatedCompositeFieldContainer[PgState]
    vdl: int
    pgmrpl: int
    log_bytes: int
    page_bytes: int
    cached_pages: int
    state: str
    pid: int
    note: str
    log_port: int
    membership_epoch: int
    geometry_epoch: int
    pg_status: _containers.RepeatedCompositeFieldContainer[PgStatus]
    descriptor: Descriptor
    scrub: ScrubStatus
    index_bytes: int
    index_bytes_max: int
    refills: _containers.RepeatedCompositeFieldContainer[RefillState]
    backup: str
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., volume_id: _Optional[bytes] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., pgs: _Optional[_Iterable[_Union[PgState, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., log_bytes: _Optional[int] = ..., page_bytes: _Optional[int] = ..., cached_pages: _Optional[int] = ..., state: _Optional[str] = ..., pid: _Optional[int] = ..., note: _Optional[str] = ..., log_port: _Optional[int] = ..., membership_epoch: _Optional[int] = ..., geometry_epoch: _Optional[int] = ..., pg_status: _Optional[_Iterable[_Union[PgStatus, _Mapping]]] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., scrub: _Optional[_Union[ScrubStatus, _Mapping]] = ..., index_bytes: _Optional[int] = ..., index_bytes_max: _Optional[int] = ..., refills: _Optional[_Iterable[_Union[RefillState, _Mapping]]] = ..., backup: _Optional[str] = ...) -> None: ...

class ScrubRequest(_message.Message):
    __slots__ = ("start",)
    START_FIELD_NUMBER: _ClassVar[int]
    start: bool
    def __init__(self, start: _Optional[bool] = ...) -> None: ...

class ScrubStatus(_message.Message):
    __slots__ = ("running", "passes", "scrubbed_bytes", "pass_bytes", "damaged", "repaired", "waiting", "last_pass_age_s")
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    SCRUBBED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PASS_BYTES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LAST_PASS_AGE_S_FIELD_NUMBER: _ClassVar[int]
    running: bool
    passes: int
    scrubbed_bytes: int
    pass_bytes: int
    damaged: int
    repaired: int
    waiting: int
    last_pass_age_s: float
    def __init__(self, running: _Optional[bool] = ..., passes: _Optional[int] = ..., scrubbed_bytes: _Optional[int] = ..., pass_bytes: _Optional[int] = ..., damaged: _Optional[int] = ..., repaired: _Optional[int] = ..., waiting: _Optional[int] = ..., last_pass_age_s: _Optional[float] = ...) -> None: ...

class RefillState(_message.Message):
    __slots__ = ("pg", "pages_done", "pages_total", "bytes_done", "bytes_per_s", "peers")
    PG_FIELD_NUMBER: _ClassVar[int]
    PAGES_DONE_FIELD_NUMBER: _ClassVar[int]
    PAGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    BYTES_DONE_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_S_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    pg: int
    pages_done: int
    pages_total: int
    bytes_done: int
    bytes_per_s: int
    peers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pg: _Optional[int] = ..., pages_done: _Optional[int] = ..., pages_total: _Optional[int] = ..., bytes_done: _Optional[int] = ..., bytes_per_s: _Optional[int] = ..., peers: _Optional[_Iterable[str]] = ...) -> None: ...

class WriteDescriptorRequest(_message.Message):
    __slots__ = ("descriptor", "volume_epoch", "writer_id")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    volume_epoch: int
    writer_id: str
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ...) -> None: ...

class WriteDescriptorReply(_message.Message):
    __slots__ = ("ok", "current", "epoch")
    OK_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    current: Descriptor
    epoch: int
    def __init__(self, ok: _Optional[bool] = ..., current: _Optional[_Union[Descriptor, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class InjectRequest(_message.Message):
    __slots__ = ("volume_id", "pg", "share", "duration_ms", "refuse", "delay_min_us", "delay_max_us")
    VOLUME_ID_FIELD_NUMBER: _ClassVar[int]
    PG_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    REFUSE_FIELD_NUMBER: _ClassVar[int]
    DELAY_MIN_US_FIELD_NUMBER: _ClassVar[int]
    DELAY_MAX_US_FIELD_NUMBER: _ClassVar[int]
    volume_id: bytes
    pg: int
    share: float
    duration_ms: int
    refuse: bool
    delay_min_us: int
    delay_max_us: int
    def __init__(self, volume_id: _Optional[bytes] = ..., pg: _Optional[int] = ..., share: _Optional[float] = ..., duration_ms: _Optional[int] = ..., refuse: _Optional[bool] = ..., delay_min_us: _Optional[int] = ..., delay_max_us: _Optional[int] = ...) -> None: ...

class InjectReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadDescriptorRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadDescriptorReply(_message.Message):
    __slots__ = ("descriptor", "present")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    present: bool
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., present: _Optional[bool] = ...) -> None: ...

class SegmentMeta(_message.Message):
    __slots__ = ("pg", "collected_lsn", "collected_cpl", "hollow", "torn", "staged_lsn", "floor_lsn")
    PG_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_CPL_FIELD_NUMBER: _ClassVar[int]
    HOLLOW_FIELD_NUMBER: _ClassVar[int]
    TORN_FIELD_NUMBER: _ClassVar[int]
    STAGED_LSN_FIELD_NUMBER: _ClassVar[int]
    FLOOR_LSN_FIELD_NUMBER: _ClassVar[int]
    pg: int
    collected_lsn: int
    collected_cpl: int
    hollow: bool
    torn: bool
    staged_lsn: int
    floor_lsn: int
    def __init__(self, pg: _Optional[int] = ..., collected_lsn: _Optional[int] = ..., collected_cpl: _Optional[int] = ..., hollow: _Optional[bool] = ..., torn: _Optional[bool] = ..., staged_lsn: _Optional[int] = ..., floor_lsn: _Optional[int] = ...) -> None: ...

class RefillRange(_message.Message):
    __slots__ = ("first", "count", "collected_lsn", "collected_cpl")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_LSN_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_CPL_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    collected_lsn: int
    collected_cpl: int
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., collected_lsn: _Optional[int] = ..., collected_cpl: _Optional[int] = ...) -> None: ...

class RefillMeta(_message.Message):
    __slots__ = ("pg", "end", "done")
    PG_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    pg: int
    end: int
    done: _containers.RepeatedCompositeFieldContainer[RefillRange]
    def __init__(self, pg: _Optional[int] = ..., end: _Optional[int] = ..., done: _Optional[_Iterable[_Union[RefillRange, _Mapping]]] = ...) -> None: ...

class NodeMeta(_message.Message):
    __slots__ = ("node_id", "descriptor", "volume_epoch", "writer_id", "truncations", "segments", "vdl", "pgmrpl", "refills", "lost_memory", "told_epoch", "settled_vdl")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    VOLUME_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGMRPL_FIELD_NUMBER: _ClassVar[int]
    REFILLS_FIELD_NUMBER: _ClassVar[int]
    LOST_MEMORY_FIELD_NUMBER: _ClassVar[int]
    TOLD_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SETTLED_VDL_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    descriptor: Descriptor
    volume_epoch: int
    writer_id: str
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    segments: _containers.RepeatedCompositeFieldContainer[SegmentMeta]
    vdl: int
    pgmrpl: int
    refills: _containers.RepeatedCompositeFieldContainer[RefillMeta]
    lost_memory: bool
    told_epoch: int
    settled_vdl: int
    def __init__(self, node_id: _Optional[str] = ..., descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., volume_epoch: _Optional[int] = ..., writer_id: _Optional[str] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., segments: _Optional[_Iterable[_Union[SegmentMeta, _Mapping]]] = ..., vdl: _Optional[int] = ..., pgmrpl: _Optional[int] = ..., refills: _Optional[_Iterable[_Union[RefillMeta, _Mapping]]] = ..., lost_memory: _Optional[bool] = ..., told_epoch: _Optional[int] = ..., settled_vdl: _Optional[int] = ...) -> None: ...

class BackupLog(_message.Message):
    __slots__ = ("prev_lsn", "last_lsn")
    PREV_LSN_FIELD_NUMBER: _ClassVar[int]
    LAST_LSN_FIELD_NUMBER: _ClassVar[int]
    prev_lsn: int
    last_lsn: int
    def __init__(self, prev_lsn: _Optional[int] = ..., last_lsn: _Optional[int] = ...) -> None: ...

class BackupPages(_message.Message):
    __slots__ = ("base_lsn", "chunk")
    BASE_LSN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    base_lsn: int
    chunk: int
    def __init__(self, base_lsn: _Optional[int] = ..., chunk: _Optional[int] = ...) -> None: ...

class BackupSnapshot(_message.Message):
    __slots__ = ("base_lsn", "base_cpl", "upto_lsn", "chunks", "pages", "wall_ms")
    BASE_LSN_FIELD_NUMBER: _ClassVar[int]
    BASE_CPL_FIELD_NUMBER: _ClassVar[int]
    UPTO_LSN_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    base_lsn: int
    base_cpl: int
    upto_lsn: int
    chunks: int
    pages: int
    wall_ms: int
    def __init__(self, base_lsn: _Optional[int] = ..., base_cpl: _Optional[int] = ..., upto_lsn: _Optional[int] = ..., chunks: _Optional[int] = ..., pages: _Optional[int] = ..., wall_ms: _Optional[int] = ...) -> None: ...

class BackupMoment(_message.Message):
    __slots__ = ("wall_ms", "vdl", "pgs")
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    VDL_FIELD_NUMBER: _ClassVar[int]
    PGS_FIELD_NUMBER: _ClassVar[int]
    wall_ms: int
    vdl: int
    pgs: _containers.RepeatedCompositeFieldContainer[PgLsn]
    def __init__(self, wall_ms: _Optional[int] = ..., vdl: _Optional[int] = ..., pgs: _Optional[_Iterable[_Union[PgLsn, _Mapping]]] = ...) -> None: ...

class BackupTimeline(_message.Message):
    __slots__ = ("descriptor", "truncations", "moments")
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    MOMENTS_FIELD_NUMBER: _ClassVar[int]
    descriptor: Descriptor
    truncations: _containers.RepeatedCompositeFieldContainer[Truncation]
    moments: _containers.RepeatedCompositeFieldContainer[BackupMoment]
    def __init__(self, descriptor: _Optional[_Union[Descriptor, _Mapping]] = ..., truncations: _Optional[_Iterable[_Union[Truncation, _Mapping]]] = ..., moments: _Optional[_Iterable[_Union[BackupMoment, _Mapping]]] = ...) -> None: ...

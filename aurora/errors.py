"""Errors with a SQLSTATE (PostgreSQL manual, appendix A) and the project's own internal errors.

Code raises the class that names the condition; only the wire turns one into an ErrorResponse. Anything that is
not a ``SqlError`` reaches the client as XX000 and is logged with its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class InvariantViolation(Exception):
    """A promise of the code to itself was broken; carries the values that show it."""


class SqlError(Exception):
    """An error for the client.

    ``position`` is 1-based, in characters of the statement text. ``severity`` is ERROR, or FATAL, which ends the
    session. The optional names fill the matching fields of ErrorResponse.
    """

    sqlstate: ClassVar[str] = "XX000"
    routine: str | None = None
    """where PostgreSQL raises it, for errors that drivers know by this; None: where this code does"""
    row: int | None = None
    """of a batch of rows: the index of the one that it is about"""
    internal_position: int | None = None
    internal_query: str | None = None
    """a text that the client did not send, a function's body say, and where in it the error is"""

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        severity: str = "ERROR",
        where: str | None = None,
        schema: str | None = None,
        table: str | None = None,
        column: str | None = None,
        data_type: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.severity = severity
        self.where = where
        self.schema = schema
        self.table = table
        self.column = column
        self.data_type = data_type
        self.constraint = constraint


SQLSTATES: dict[str, type[SqlError]] = {}
"""SQLSTATE → the class that carries it."""


def _condition(sqlstate: str, name: str) -> type[SqlError]:
    if sqlstate in SQLSTATES:
        raise InvariantViolation(f"SQLSTATE {sqlstate} declared twice")
    cls = type(name, (SqlError,), {"sqlstate": sqlstate, "__module__": __name__})
    SQLSTATES[sqlstate] = cls
    return cls


def is_of_a_value(error: SqlError) -> bool:
    """Whether an error tells of the values that something was computed from, so that it may be computed without them:
    not that the statement is cancelled, its time or memory over, its transaction or session at its end."""
    return error.sqlstate[:2] not in ("25", "40", "53", "55", "57", "58", "XX")


# One line a condition, in the order of appendix A.
SuccessfulCompletion = _condition("00000", "SuccessfulCompletion")
Warning_ = _condition("01000", "Warning_")
PrivilegeNotRevoked = _condition("01006", "PrivilegeNotRevoked")
PrivilegeNotGranted = _condition("01007", "PrivilegeNotGranted")
NoData = _condition("02000", "NoData")
ConnectionException = _condition("08000", "ConnectionException")
ConnectionFailure = _condition("08006", "ConnectionFailure")
TransactionResolutionUnknown = _condition("08007", "TransactionResolutionUnknown")
ProtocolViolation = _condition("08P01", "ProtocolViolation")
NotSupported = _condition("0A000", "NotSupported")
InvalidGrantor = _condition("0L000", "InvalidGrantor")
InvalidGrantOperation = _condition("0LP01", "InvalidGrantOperation")
CardinalityViolation = _condition("21000", "CardinalityViolation")
DataException = _condition("22000", "DataException")
InvalidPrecedingOrFollowingSize = _condition("22013", "InvalidPrecedingOrFollowingSize")
InvalidArgumentForNtile = _condition("22014", "InvalidArgumentForNtile")
IntervalFieldOverflow = _condition("22015", "IntervalFieldOverflow")
InvalidArgumentForNthValue = _condition("22016", "InvalidArgumentForNthValue")
StringDataLengthMismatch = _condition("22026", "StringDataLengthMismatch")
StringDataRightTruncation = _condition("22001", "StringDataRightTruncation")
NumericValueOutOfRange = _condition("22003", "NumericValueOutOfRange")
NullValueNotAllowed = _condition("22004", "NullValueNotAllowed")
InvalidDatetimeFormat = _condition("22007", "InvalidDatetimeFormat")
DatetimeFieldOverflow = _condition("22008", "DatetimeFieldOverflow")
InvalidTimeZoneDisplacement = _condition("22009", "InvalidTimeZoneDisplacement")
SequenceGeneratorLimitExceeded = _condition("2200H", "SequenceGeneratorLimitExceeded")
SubstringError = _condition("22011", "SubstringError")
DivisionByZero = _condition("22012", "DivisionByZero")
ZeroLengthCharacterString = _condition("2200F", "ZeroLengthCharacterString")
NotAnXmlDocument = _condition("2200L", "NotAnXmlDocument")
InvalidXmlDocument = _condition("2200M", "InvalidXmlDocument")
InvalidXmlContent = _condition("2200N", "InvalidXmlContent")
InvalidXmlComment = _condition("2200S", "InvalidXmlComment")
InvalidXmlProcessingInstruction = _condition("2200T", "InvalidXmlProcessingInstruction")
InvalidUseOfEscapeCharacter = _condition("2200C", "InvalidUseOfEscapeCharacter")
InvalidEscapeCharacter = _condition("22019", "InvalidEscapeCharacter")
InvalidRegularExpression = _condition("2201B", "InvalidRegularExpression")
InvalidArgumentForLog = _condition("2201E", "InvalidArgumentForLog")
InvalidArgumentForPower = _condition("2201F", "InvalidArgumentForPower")
InvalidArgumentForWidthBucket = _condition("2201G", "InvalidArgumentForWidthBucket")
InvalidRowCountInLimit = _condition("2201W", "InvalidRowCountInLimit")
InvalidRowCountInOffset = _condition("2201X", "InvalidRowCountInOffset")
CharacterNotInRepertoire = _condition("22021", "CharacterNotInRepertoire")
InvalidParameterValue = _condition("22023", "InvalidParameterValue")
InvalidEscapeSequence = _condition("22025", "InvalidEscapeSequence")
ArraySubscriptError = _condition("2202E", "ArraySubscriptError")
InvalidTablesampleArgument = _condition("2202H", "InvalidTablesampleArgument")
InvalidTablesampleRepeat = _condition("2202G", "InvalidTablesampleRepeat")
InvalidDatetimeArgument = _condition("22031", "InvalidDatetimeArgument")
InvalidSubscript = _condition("22033", "InvalidSubscript")
NonNumericItem = _condition("22036", "NonNumericItem")
SingletonItemRequired = _condition("22038", "SingletonItemRequired")
JsonArrayNotFound = _condition("22039", "JsonArrayNotFound")
JsonMemberNotFound = _condition("2203A", "JsonMemberNotFound")
JsonNumberNotFound = _condition("2203B", "JsonNumberNotFound")
JsonObjectNotFound = _condition("2203C", "JsonObjectNotFound")
FloatingPointException = _condition("22P01", "FloatingPointException")
InvalidTextRepresentation = _condition("22P02", "InvalidTextRepresentation")
InvalidBinaryRepresentation = _condition("22P03", "InvalidBinaryRepresentation")
BadCopyFileFormat = _condition("22P04", "BadCopyFileFormat")
UntranslatableCharacter = _condition("22P05", "UntranslatableCharacter")
NonstandardUseOfEscapeCharacter = _condition("22P06", "NonstandardUseOfEscapeCharacter")
IntegrityConstraintViolation = _condition("23000", "IntegrityConstraintViolation")
NotNullViolation = _condition("23502", "NotNullViolation")
ForeignKeyViolation = _condition("23503", "ForeignKeyViolation")
UniqueViolation = _condition("23505", "UniqueViolation")
CheckViolation = _condition("23514", "CheckViolation")
ExclusionViolation = _condition("23P01", "ExclusionViolation")
InvalidCursorState = _condition("24000", "InvalidCursorState")
InvalidTransactionState = _condition("25000", "InvalidTransactionState")
ActiveSqlTransaction = _condition("25001", "ActiveSqlTransaction")
ReadOnlySqlTransaction = _condition("25006", "ReadOnlySqlTransaction")
NoActiveSqlTransaction = _condition("25P01", "NoActiveSqlTransaction")
InFailedSqlTransaction = _condition("25P02", "InFailedSqlTransaction")
IdleInTransactionSessionTimeout = _condition("25P03", "IdleInTransactionSessionTimeout")
InvalidSqlStatementName = _condition("26000", "InvalidSqlStatementName")
InvalidAuthorizationSpecification = _condition("28000", "InvalidAuthorizationSpecification")
InvalidPassword = _condition("28P01", "InvalidPassword")
DependentObjectsStillExist = _condition("2BP01", "DependentObjectsStillExist")
InvalidCursorName = _condition("34000", "InvalidCursorName")
InvalidTransactionTermination = _condition("2D000", "InvalidTransactionTermination")
ExternalRoutineException = _condition("38000", "ExternalRoutineException")
InvalidSavepoint = _condition("3B001", "InvalidSavepoint")
InvalidCatalogName = _condition("3D000", "InvalidCatalogName")
InvalidSchemaName = _condition("3F000", "InvalidSchemaName")
ExternalRoutineInvocationException = _condition("39000", "ExternalRoutineInvocationException")
TriggerProtocolViolated = _condition("39P01", "TriggerProtocolViolated")
EventTriggerProtocolViolated = _condition("39P03", "EventTriggerProtocolViolated")
SerializationFailure = _condition("40001", "SerializationFailure")
DeadlockDetected = _condition("40P01", "DeadlockDetected")
SyntaxErrorOrAccessRule = _condition("42000", "SyntaxErrorOrAccessRule")
InsufficientPrivilege = _condition("42501", "InsufficientPrivilege")
SqlSyntaxError = _condition("42601", "SqlSyntaxError")
InvalidName = _condition("42602", "InvalidName")
InvalidColumnDefinition = _condition("42611", "InvalidColumnDefinition")
NameTooLong = _condition("42622", "NameTooLong")
DuplicateColumn = _condition("42701", "DuplicateColumn")
AmbiguousColumn = _condition("42702", "AmbiguousColumn")
UndefinedColumn = _condition("42703", "UndefinedColumn")
UndefinedObject = _condition("42704", "UndefinedObject")
DuplicateObject = _condition("42710", "DuplicateObject")
DuplicateAlias = _condition("42712", "DuplicateAlias")
DuplicateFunction = _condition("42723", "DuplicateFunction")
AmbiguousFunction = _condition("42725", "AmbiguousFunction")
GroupingError = _condition("42803", "GroupingError")
DatatypeMismatch = _condition("42804", "DatatypeMismatch")
WrongObjectType = _condition("42809", "WrongObjectType")
InvalidForeignKey = _condition("42830", "InvalidForeignKey")
CannotCoerce = _condition("42846", "CannotCoerce")
UndefinedFunction = _condition("42883", "UndefinedFunction")
GeneratedAlways = _condition("428C9", "GeneratedAlways")
ReservedName = _condition("42939", "ReservedName")
UndefinedTable = _condition("42P01", "UndefinedTable")
UndefinedParameter = _condition("42P02", "UndefinedParameter")
DuplicateCursor = _condition("42P03", "DuplicateCursor")
DuplicateDatabase = _condition("42P04", "DuplicateDatabase")
DuplicatePreparedStatement = _condition("42P05", "DuplicatePreparedStatement")
DuplicateSchema = _condition("42P06", "DuplicateSchema")
DuplicateTable = _condition("42P07", "DuplicateTable")
AmbiguousParameter = _condition("42P08", "AmbiguousParameter")
AmbiguousAlias = _condition("42P09", "AmbiguousAlias")
InvalidColumnReference = _condition("42P10", "InvalidColumnReference")
InvalidCursorDefinition = _condition("42P11", "InvalidCursorDefinition")
InvalidFunctionDefinition = _condition("42P13", "InvalidFunctionDefinition")
InvalidPreparedStatementDefinition = _condition("42P14", "InvalidPreparedStatementDefinition")
InvalidSchemaDefinition = _condition("42P15", "InvalidSchemaDefinition")
InvalidTableDefinition = _condition("42P16", "InvalidTableDefinition")
InvalidObjectDefinition = _condition("42P17", "InvalidObjectDefinition")
IndeterminateDatatype = _condition("42P18", "IndeterminateDatatype")
InvalidRecursion = _condition("42P19", "InvalidRecursion")
WindowingError = _condition("42P20", "WindowingError")
CollationMismatch = _condition("42P21", "CollationMismatch")
IndeterminateCollation = _condition("42P22", "IndeterminateCollation")
WithCheckOptionViolation = _condition("44000", "WithCheckOptionViolation")
InsufficientResources = _condition("53000", "InsufficientResources")
DiskFull = _condition("53100", "DiskFull")
OutOfMemory = _condition("53200", "OutOfMemory")
TooManyConnections = _condition("53300", "TooManyConnections")
ConfigurationLimitExceeded = _condition("53400", "ConfigurationLimitExceeded")
ProgramLimitExceeded = _condition("54000", "ProgramLimitExceeded")
StatementTooComplex = _condition("54001", "StatementTooComplex")
TooManyColumns = _condition("54011", "TooManyColumns")
TooManyArguments = _condition("54023", "TooManyArguments")
FdwDynamicParameterValueNeeded = _condition("HV002", "FdwDynamicParameterValueNeeded")
FdwInvalidOptionName = _condition("HV00D", "FdwInvalidOptionName")
FdwNoSchemas = _condition("HV00P", "FdwNoSchemas")
ObjectNotInPrerequisiteState = _condition("55000", "ObjectNotInPrerequisiteState")
ObjectInUse = _condition("55006", "ObjectInUse")
CannotChangeRuntimeParam = _condition("55P02", "CannotChangeRuntimeParam")
LockNotAvailable = _condition("55P03", "LockNotAvailable")
UnsafeNewEnumValueUsage = _condition("55P04", "UnsafeNewEnumValueUsage")
QueryCanceled = _condition("57014", "QueryCanceled")
AdminShutdown = _condition("57P01", "AdminShutdown")
CrashShutdown = _condition("57P02", "CrashShutdown")
CannotConnectNow = _condition("57P03", "CannotConnectNow")
DatabaseDropped = _condition("57P04", "DatabaseDropped")
IdleSessionTimeout = _condition("57P05", "IdleSessionTimeout")
SystemError_ = _condition("58000", "SystemError_")
UndefinedFile = _condition("58P01", "UndefinedFile")
IoError = _condition("58030", "IoError")
ConfigFileError = _condition("F0000", "ConfigFileError")
InternalError = _condition("XX000", "InternalError")
DataCorrupted = _condition("XX001", "DataCorrupted")
IndexCorrupted = _condition("XX002", "IndexCorrupted")


class VolumeTooNew(InternalError):  # type: ignore[misc, valid-type]
    """The volume was made, or last opened, by a newer program, and means more than this one knows."""

"""The errors of pqdb: sentences with the numbers in them, each kin of the builtin that fits."""


class PqdbError(Exception):
    """Base of everything pqdb raises on purpose."""


class InputError(PqdbError, ValueError):
    """Input that cannot be taken as it is; nothing was changed."""


class DimensionError(InputError):
    """A vector has another number of dimensions than its collection."""


class IdError(InputError):
    """An id is neither an unsigned 64-bit integer nor a string of 1 to 400 bytes of UTF-8."""


class PayloadError(InputError):
    """A payload is not a JSON object, or is too large."""


class FilterError(InputError):
    """A filter that is malformed or unknown."""


class FilterRangeError(FilterError):
    """A filter that can be read, with a length or a number in it that is out of range."""


class ConflictError(PqdbError, ValueError):
    """What was to be replaced is at another version than expected; nothing was changed."""


class NotYetError(PqdbError, NotImplementedError):
    """Asked for something this version does not offer."""


class CollectionNotFoundError(PqdbError, KeyError):
    """No collection of this name."""

    def __str__(self) -> str:  # KeyError would print the repr, quotes and all
        return str(self.args[0]) if self.args else ""


class CollectionExistsError(PqdbError, ValueError):
    """A collection of this name is there already."""


class PointNotFoundError(PqdbError, KeyError):
    """No point of this id."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ClosedError(PqdbError, ValueError):
    """The database, or the collection's handle, is closed or was dropped."""


class ReadOnlyError(PqdbError, PermissionError):
    """A write to a database that was opened read-only."""


class StorageError(PqdbError, OSError):
    """The disk or the file system refused; what was acknowledged before is whole."""


class DiskFullError(StorageError):
    """No space, or a file-size limit reached; nothing of the operation was kept."""


class NotADatabaseError(PqdbError, ValueError):
    """A path that is not a pqdb database."""


class FormatError(PqdbError, ValueError):
    """A database of a format this version cannot read."""


class CorruptError(PqdbError, OSError):
    """Bytes on disk that are not what was written."""


class LockedError(PqdbError, BlockingIOError):
    """Another process holds what was asked for."""


class ForkedError(PqdbError, RuntimeError):
    """A handle from before a fork was used in the child, or the fork came while a thread of the parent was reading."""


class KernelError(PqdbError, RuntimeError):
    """A kernel was forced that this machine cannot run."""


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk, so every new process compiles them again."""

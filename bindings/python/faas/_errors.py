# SPDX-License-Identifier: MIT
"""What can go wrong: a small tree, whose branches also are what Python people catch."""

from __future__ import annotations

import concurrent.futures

from . import _faas


class FaasError(Exception):
    """Something that the library refused, or that failed in it.

    ``status`` is the name of the status in C, as "FAAS_EBUSY"; ``code`` its number.
    """

    status: str
    code: int

    def __init__(self, message: str = "", *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = _faas.status_name(code)


class Invalid(FaasError, ValueError):
    """A value is out of its range, or a text malformed; the message says at which byte."""


class NotFound(FaasError, LookupError):
    """There is no such name, or its function is gone."""


class Exists(FaasError, ValueError):
    """The name is taken."""


class WrongType(FaasError, TypeError):
    """An argument is not what the signature, or the model, takes. It did not run."""


class NotAllowed(FaasError, RuntimeError):
    """Not from here: from inside a handler, or while something refers to it."""


class LoadError(FaasError, OSError):
    """A shared object, or a symbol in it, cannot be had."""


class Throttled(FaasError, RuntimeError):
    """A limit is reached; the handler did not run. Try again after ``retry_after`` seconds."""

    retry_after: float

    def __init__(self, message: str = "", *, code: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Timeout(FaasError, TimeoutError):
    """The handler came back after its deadline; what it answered is dropped."""


class Expired(Timeout):
    """No time was left before the handler could start: it did not run."""


class Closed(FaasError, RuntimeError):
    """The app is closed, or closing. It did not run."""


class InitError(FaasError, RuntimeError):
    """The instance could not be made: ``__cause__`` is what ``init`` raised. It did not run."""


class Cancelled(FaasError, concurrent.futures.CancelledError):
    """It was cancelled before it ended."""


class HandlerError(FaasError):
    """A handler that is not Python's failed; ``returned`` is what it returned.

    What a handler in Python raises comes through unchanged instead.
    """

    returned: int

    def __init__(self, message: str = "", *, code: int = 0, returned: int = 0) -> None:
        super().__init__(message, code=code)
        self.returned = returned


_BY_STATUS: dict[str, type[FaasError]] = {
    "FAAS_EINVAL": Invalid,
    "FAAS_EVERSION": Invalid,
    "FAAS_ESYNTAX": Invalid,
    "FAAS_ENOENT": NotFound,
    "FAAS_EEXIST": Exists,
    "FAAS_ETYPE": WrongType,
    "FAAS_EPERM": NotAllowed,
    "FAAS_EINUSE": NotAllowed,
    "FAAS_EDEPTH": NotAllowed,
    "FAAS_ELOAD": LoadError,
    "FAAS_EEXPIRED": Expired,
    "FAAS_ETIMEDOUT": Timeout,
    "FAAS_ECLOSED": Closed,
    "FAAS_EINIT": InitError,
    "FAAS_ECANCELLED": Cancelled,
}


def error(code: int, text: str, retry_after: float, returned: int) -> FaasError:
    """Makes the exception of a status. Called by the compiled part."""
    name = _faas.status_name(code)
    if name == "FAAS_EBUSY":
        return Throttled(text, code=code, retry_after=retry_after)
    if name == "FAAS_EHANDLER":
        return HandlerError(text or "the handler failed", code=code, returned=returned)
    return _BY_STATUS.get(name, FaasError)(text, code=code)

# SPDX-License-Identifier: MIT
"""What an app has registered, and the options that it may have."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from . import _faas
from ._faas import Future

if TYPE_CHECKING:
    from ._app import App

P = ParamSpec("P")
R = TypeVar("R")

NAMES = _faas.policy_names()


def check_names(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise TypeError(f"{what} has no option {name!r}{hint}")


def check_policy(options: Mapping[str, Any]) -> None:
    check_names(options, [*NAMES["function"], "async_", "limiter"], "a function")
    for part in ("async_", "limiter"):
        value = options.get(part)
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{part} is a dict, not {value!r}")
        check_names(value or {}, NAMES[part], part)


def check_update(policy: Mapping[str, Any]) -> None:
    check_policy(policy)
    if policy.get("async_") is not None:
        raise TypeError("async_ is said when the function is made")


class Registered(_faas.Function[P, R]):
    """What functions, symbols and models have in common."""

    def update(self, **policy: Any) -> None:
        """Changes its policy while calls run: the options of app.function() from
        ``concurrency`` to ``instance_bytes``, ``prewarm``, budgets, ``limiter``, batches,
        cache.

        Raises TypeError for an option that there is not, Invalid.
        """
        check_update(policy)
        super().update(**policy)
        cast("App", self.app)._changed(self.name, policy)

    def unregister(self) -> None:
        """Removes it from the app: calls are refused with NotFound, its instances closed.
        Waits for the calls that run."""
        super().unregister()
        cast("App", self.app)._forget(self)

    def submit_with(
        self,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        /,
        *,
        group: str | bytes | None = None,
        tenant: str | bytes | None = None,
        tenant_weight: int | None = None,
        trace: str | bytes | None = None,
        key: str | bytes | None = None,
        priority: Literal["high", "normal", "low"] | None = None,
        delay: float = 0.0,
        limit: float | None = None,
    ) -> Future[R]:
        """Submits a call with options: calls of a ``group`` run one after the other;
        tenants take turns; while one with a ``key`` is under way, others with it end as it
        does; not before ``delay`` seconds; within ``limit`` seconds, queue and run."""
        return self._submit_with(
            tuple(args),
            dict(kwargs or {}),
            group=group,
            tenant=tenant,
            tenant_weight=tenant_weight,
            trace=trace,
            key=key,
            priority=priority,
            delay_ns=int(delay * 1e9),
            limit_ns=None if limit is None else max(1, int(limit * 1e9)),
        )

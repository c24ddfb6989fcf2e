# SPDX-License-Identifier: MIT
"""What an app tells about itself: numbers, descriptions, reports, logs, errors."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
from conftest import PATIENCE

import faas
from faas import _errors, _faas


def test_the_numbers_of_a_function_count_what_happened(app: faas.App) -> None:
    @app.function
    def half(x: int) -> int:
        return 6 // x

    for x in (1, 2, 3):
        half.invoke(x)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            half.invoke(0)
    half.submit(1).result(PATIENCE)
    stats = half.stats()
    assert (stats["invocations"], stats["errors"], stats["cold_starts"]) == (6, 2, 1)
    assert 0 < stats["p50_ns"] <= stats["p99_ns"]
    assert stats["run_ns"] > 0 and stats["billed_gb_s"] >= 0
    assert all(isinstance(v, (int, float)) for v in stats.values())


def test_the_numbers_of_an_app_are_those_of_its_functions_and_its_queue(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    for _ in range(5):
        made.submit().result(PATIENCE)
    stats = app.stats()
    assert (stats["submitted"], stats["succeeded"]) == (5, 5)
    assert stats["functions"] == {"x": made.stats()}


def test_prometheus_text_has_a_line_of_each_function(app: faas.App) -> None:
    app.function(name='quo"te\\n', concurrency=1)(lambda: 1).invoke()
    text = app.prometheus()
    assert "# TYPE" in text and text.endswith("\n")
    assert any("quo" in line and line.endswith(" 1") for line in text.splitlines())


def test_a_description_has_every_function_and_its_policy(app: faas.App) -> None:
    app.function(name="x", concurrency=3, timeout_ns=5)(lambda: 1)
    app.symbol(None, "labs", "l(l)")
    described = app.describe()
    functions = {f["name"]: f for f in described["functions"]}
    assert set(functions) == {"x", "labs"}
    assert functions["x"]["policy"]["concurrency"] == 3
    assert functions["x"]["policy"]["timeout_ns"] == 5


def test_each_call_writes_a_report_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "faas.report")
    with faas.App(report=True, worker_max=1) as app:
        made = app.function(name="x")(lambda: 1)
        made.invoke()
        made.submit().result(PATIENCE)
    reports = [r for r in caplog.records if r.name == "faas.report"]
    assert len(reports) == 2
    assert all("REPORT" in r.getMessage() and "\n" not in r.getMessage() for r in reports)


def test_a_report_that_cannot_be_written_is_no_failure_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    def fail(text: str) -> None:
        raise ValueError("full")

    monkeypatch.setattr(logging.getLogger("faas.report"), "info", fail)
    with faas.App(report=True) as app:
        assert app.function(name="x")(lambda: 1).invoke() == 1

        @app.function
        def wrong() -> None:
            raise KeyError("of mine")

        with pytest.raises(KeyError):
            wrong.invoke()
    assert isinstance(reported[0].exc_value, ValueError)


def test_every_error_is_also_what_people_catch() -> None:
    for kind, base in {
        faas.Invalid: ValueError,
        faas.Exists: ValueError,
        faas.NotFound: LookupError,
        faas.WrongType: TypeError,
        faas.NotAllowed: RuntimeError,
        faas.LoadError: OSError,
        faas.Throttled: RuntimeError,
        faas.Timeout: TimeoutError,
        faas.Expired: faas.Timeout,
        faas.Closed: RuntimeError,
        faas.InitError: RuntimeError,
        faas.HandlerError: Exception,
    }.items():
        assert issubclass(kind, base) and issubclass(kind, faas.FaasError)
        assert str(kind("text")) == "text"


def test_every_status_has_an_error_with_its_name() -> None:
    names = set()
    for code in range(-60, 0):
        name = _faas.status_name(code)
        error = _errors.error(code, "text", 1.5, 7)
        assert (error.code, error.status, str(error)) == (code, name, "text")
        names.add(name)
    assert set(_errors._BY_STATUS) <= names
    assert _errors.error(0, "", 0, 0).status == "FAAS_OK"
    for code in (-1000, 10**6):
        assert isinstance(_faas.status_name(code), str)


def test_errors_are_copied_and_pickled(app: faas.App) -> None:
    made = app.function(name="x", concurrency=faas.OFF)(lambda: 1)
    with pytest.raises(faas.Throttled) as caught:
        made.invoke()
    for twin in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert type(twin) is faas.Throttled and str(twin) == str(caught.value)
        assert (twin.code, twin.retry_after) == (caught.value.code, caught.value.retry_after)


def test_everything_that_is_public_has_a_docstring() -> None:
    for name in faas.__all__:
        thing = getattr(faas, name)
        if not callable(thing):
            continue
        assert thing.__doc__, name
        for part in dir(thing):
            member = getattr(thing, part)
            if not part.startswith("_") and callable(member) and part not in dir(Exception):
                assert part in dir(tuple) or member.__doc__, f"{name}.{part}"

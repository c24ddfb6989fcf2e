# SPDX-License-Identifier: MIT
"""Events: types, rules, data, attributes."""

from __future__ import annotations

import array
import gc
import json
import logging
import mmap
import weakref
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Gate

import faas


def address(buffer: Any) -> int:
    return int(np.frombuffer(buffer, np.uint8).__array_interface__["data"][0])


# ---- who hears of it


def test_an_event_goes_to_those_who_asked_for_its_type_in_their_order(app: faas.App) -> None:
    seen: list[str] = []
    for name, pattern in {
        "exact": "order.created",
        "prefix": "order.*",
        "all": None,
        "other": "order.paid",
        "star": "*",
    }.items():
        app.on(pattern, name=name)(lambda event, name=name: seen.append(name))
    delivery = app.emit("order.created")
    assert seen == ["exact", "prefix", "all", "star"]
    assert delivery == (4, 4, 0, 0, 0, 0)
    assert delivery.matched == delivery.ran == 4
    assert isinstance(delivery, faas.Delivery)
    assert app.emit("nobody.asked").ran == 2


def test_a_prefix_matches_what_begins_with_it_alone(app: faas.App) -> None:
    seen: list[str] = []
    app.on("order.*", name="x")(lambda event: seen.append(event.type))
    for kind in ("order", "order.", "order.a.b", "orders.a", "a.order.b"):
        app.emit(kind)
    assert seen == ["order.", "order.a.b"]


def test_an_event_of_another_source_is_not_heard(app: faas.App) -> None:
    seen: list[str] = []
    app.on("x", source="/a", name="x")(lambda event: seen.append(event.source))
    app.emit("x")
    app.emit("x", source="/b")
    app.emit("x", source="/a")
    assert seen == ["/a"]


RULE = {"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}}


@pytest.mark.parametrize("pattern", [RULE, json.dumps(RULE), "\n " + json.dumps(RULE, indent=2)])
def test_a_rule_is_a_dict_or_its_json(app: faas.App, pattern: Any) -> None:
    seen: list[Any] = []

    @app.on(pattern)
    def big(event: faas.Event) -> None:
        seen.append(event.json()["total"])

    app.emit("order.created", {"total": 100})
    app.emit("order.created", {"total": 100.5})
    app.emit("order.paid", {"total": 200})
    app.emit("order.created", "no json")
    assert seen == [100.5]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("{", "1"),
        ('{"type": order}', "9"),
        ('{"data": {"total": [{"numeric": [">"]}]}}', "byte"),
        ('{"data": {"total": [{"nonsense": 1}]}}', "byte"),
        ('{"type": "order"}', "9"),
        ({"type": []}, "byte"),
        ({}, "byte"),
        ("{}", "byte"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_byte(
    app: faas.App, pattern: Any, what: str
) -> None:
    with pytest.raises(faas.Invalid, match=what) as caught:
        app.on(pattern, name="x")(lambda event: None)
    assert isinstance(caught.value, ValueError)
    assert app.describe()["functions"] == []


@pytest.mark.parametrize("pattern", ["", "a\0b", "\ud800", "a" * 100_000])
def test_a_type_that_is_none_is_refused_and_leaves_nothing(app: faas.App, pattern: str) -> None:
    with pytest.raises(ValueError):
        app.on(pattern, name="x")(lambda event: None)
    assert app.describe()["functions"] == []
    app.on("good", name="x")(lambda event: None)
    assert app.emit("good").ran == 1


@pytest.mark.parametrize("pattern", [5, b"x", ["x"], object()])
def test_a_pattern_that_is_neither_str_nor_dict_is_refused(app: faas.App, pattern: Any) -> None:
    with pytest.raises(TypeError, match="a str or a dict"):
        app.on(pattern)


def test_a_rule_with_a_source_beside_it_is_refused(app: faas.App) -> None:
    with pytest.raises(TypeError, match="source"):
        app.on({"type": ["x"]}, source="/a")


def test_a_function_can_ask_for_several_things(app: faas.App) -> None:
    seen: list[str] = []

    @app.on("c.*")
    @app.on({"type": ["b"]})
    @app.on("a")
    @app.function(concurrency=1)
    def hear(event: faas.Event) -> None:
        seen.append(event.type)

    for kind in ("a", "b", "c.c", "d"):
        app.emit(kind)
    assert seen == ["a", "b", "c.c"]
    with pytest.raises(TypeError, match="its options are said"):
        app.on("d", concurrency=2)(hear)


def test_a_function_of_another_app_is_refused(app: faas.App) -> None:
    with faas.App("other") as other:
        stranger = other.function(name="x")(lambda event: None)
        with pytest.raises(ValueError):
            app.on("x")(stranger)
        with pytest.raises(ValueError):
            app.on({"type": ["x"]})(stranger)
        assert stranger.invoke(1) is None


def test_an_unregistered_function_hears_no_more(app: faas.App) -> None:
    seen: list[int] = []
    hear = app.on("x", name="x")(lambda event: seen.append(1))
    ruled = app.on({"type": ["x"]}, name="y")(lambda event: seen.append(2))
    app.emit("x")
    hear.unregister()
    app.emit("x")
    ruled.unregister()
    assert app.emit("x").matched == 0
    assert seen == [1, 2, 2]


def test_what_a_handler_of_events_raises_is_logged_and_counted(
    app: faas.App, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    @app.on("x")
    def fail(event: faas.Event) -> None:
        raise ValueError("of mine")

    app.on("x", name="after")(lambda event: seen.append(1))
    delivery = app.emit("x")
    assert (delivery.ran, delivery.failed) == (1, 1)
    assert seen == [1]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("faas", logging.ERROR)
    assert record.exc_info is not None and isinstance(record.exc_info[1], ValueError)
    assert "fail failed" in record.getMessage()


def test_a_throttled_handler_of_events_is_refused_and_counted(app: faas.App) -> None:
    app.on("x", name="x", concurrency=faas.OFF)(lambda event: None)
    assert app.emit("x").refused == 1


def test_an_event_for_a_worker_is_queued(app: faas.App, gate: Gate) -> None:
    app.on("x", name="x", run="worker")(gate)
    assert app.emit("x").queued == 1
    gate.wait()


def test_a_handler_of_events_may_emit_events_and_knows_its_own(app: faas.App) -> None:
    seen: list[tuple[str, str]] = []

    @app.on("a")
    def first(event: faas.Event) -> None:
        app.emit("b", {"of": event.id})
        here = faas.context().event
        assert here is not None and here.id == event.id
        seen.append(("a", event.id))

    @app.on("b")
    def second(event: faas.Event) -> None:
        assert event.type == "b"
        seen.append(("b", event.json()["of"]))

    app.emit("a", id="1")
    assert seen == [("b", "1"), ("a", "1")]


def test_an_event_that_answers_itself_forever_is_stopped(app: faas.App) -> None:
    count = 0

    @app.on("x")
    def again(event: faas.Event) -> None:
        nonlocal count
        count += 1
        try:
            app.emit("x")
        except faas.NotAllowed:
            pass

    app.emit("x")
    assert 1 < count <= 64


def test_a_published_event_is_handed_over_as_it_is(app: faas.App) -> None:
    seen: list[faas.Event] = []
    app.on("x", name="x")(seen.append)
    event = faas.Event.new("x", b"data", id="7")
    app.publish(event)
    assert seen[0] is event
    with pytest.raises(TypeError, match="an Event is published"):
        app.publish("x")  # type: ignore[arg-type]


def test_an_event_published_twice_is_heard_once_when_the_app_says_so() -> None:
    with faas.App(dedupe="id") as app:
        app.on("x", name="x")(lambda event: None)
        assert app.emit("x", id="1").ran == 1
        again = app.emit("x", id="1")
        assert (again.ran, again.repeated) == (0, 1)


# ---- data

KINDS: dict[str, tuple[Any, bytes, str]] = {
    "str": ("grüße", "grüße".encode(), "text/plain;charset=utf-8"),
    "empty str": ("", b"", "text/plain;charset=utf-8"),
    "bytes": (b"\0\1", b"\0\1", "application/octet-stream"),
    "empty bytes": (b"", b"", "application/octet-stream"),
    "bytearray": (bytearray(b"ab"), b"ab", "application/octet-stream"),
    "memoryview": (memoryview(b"abcd")[1:3], b"bc", "application/octet-stream"),
    "array": (array.array("H", [1, 2]), b"\1\0\2\0", "application/octet-stream"),
    "numpy": (np.arange(4, dtype=np.int16), b"\0\0\1\0\2\0\3\0", "application/octet-stream"),
    "dict": ({"a": [1, None]}, b'{"a": [1, null]}', "application/json"),
    "list": ([1, "\u00fc"], b'[1, "\\u00fc"]', "application/json"),
    "int": (5, b"5", "application/json"),
    "bool": (True, b"true", "application/json"),
    "float": (1.5, b"1.5", "application/json"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_kind_arrives(app: faas.App, kind: str) -> None:
    given, bytes_of, content_type = KINDS[kind]
    seen: list[faas.Event] = []
    app.on("x", name="x")(seen.append)
    app.emit("x", given)
    app.publish(faas.Event.new("x", given))
    for event in seen:
        assert isinstance(event.data, memoryview) and event.data.readonly
        assert event.data.tobytes() == bytes_of
        assert event.datacontenttype == content_type
        if content_type == "application/json":
            assert event.json() == given
        faas.Event.new("y", event.data)
        if content_type != "application/octet-stream":
            assert json.loads(event.to_json())["type"] == "x"


def test_an_event_without_data_has_none(app: faas.App) -> None:
    event = faas.Event.new("x")
    assert event.data.tobytes() == b"" and event.datacontenttype is None
    assert "data" not in json.loads(event.to_json())
    with pytest.raises(ValueError):
        event.json()


def test_data_cannot_be_changed(app: faas.App) -> None:
    event = faas.Event.new("x", bytearray(5000))
    with pytest.raises(TypeError):
        event.data[0] = 1
    with pytest.raises((ValueError, BufferError)):
        np.frombuffer(event.data, np.uint8)[0] = 1
    with pytest.raises(AttributeError):
        event.data = b""  # type: ignore[misc]


@pytest.mark.parametrize(
    "buffer",
    [
        memoryview(bytes(10000))[::2],
        np.zeros((100, 100))[:, ::2],
        np.zeros(10000)[::-1],
        np.asfortranarray(np.zeros((100, 100))),
        np.zeros(100, np.uint8)[::2],
    ],
)
def test_a_buffer_that_is_not_contiguous_is_refused(app: faas.App, buffer: Any) -> None:
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        app.emit("x", buffer)
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        faas.Event.new("x", buffer)


@pytest.mark.parametrize("size", [4096, 4097, 1 << 22])
@pytest.mark.parametrize(
    "make", [bytes, bytearray, lambda n: memoryview(bytes(n)), lambda n: np.zeros(n, np.uint8)]
)
def test_data_from_4_kib_on_is_not_copied(app: faas.App, size: int, make: Any) -> None:
    seen: list[faas.Event] = []
    for run in ("inline", "worker"):
        app.on("x", name=run, run=run)(seen.append)  # type: ignore[call-overload]
    buffer = make(size)
    app.emit("x", buffer)
    app.close(drain=PATIENCE)
    assert [address(event.data) for event in seen] == [address(buffer)] * 2
    assert address(faas.Event.new("x", buffer).data) == address(buffer)


def test_smaller_data_is_copied_and_its_buffer_free(app: faas.App) -> None:
    buffer = bytearray(4095)
    event = faas.Event.new("x", buffer)
    buffer[0] = 1
    buffer.append(1)
    assert event.data[0] == 0 and len(event.data) == 4095


def test_a_buffer_is_held_as_long_as_its_event(app: faas.App) -> None:
    buffer = bytearray(5000)
    event = faas.Event.new("x", buffer)
    with pytest.raises(BufferError):
        buffer.append(1)
    del event
    buffer.append(1)


def test_a_buffer_is_free_again_when_no_event_is_made_of_it(app: faas.App) -> None:
    buffer = bytearray(5000)
    for wrong in ({"id": ""}, {"UPPER": "x"}, {"time": "yesterday"}, {"id": 5}):
        with pytest.raises((ValueError, TypeError)):
            app.emit("x", buffer, **wrong)
    with pytest.raises(ValueError):
        app.emit("", buffer)
    buffer.append(1)


def test_a_view_left_behind_keeps_its_event(app: faas.App) -> None:
    class Array(np.ndarray):  # can be referred to weakly
        pass

    views: list[memoryview] = []
    app.on("x", name="x")(lambda event: views.append(event.data[10:20]))
    buffer = np.arange(5000, dtype=np.uint8).view(Array)
    gone = weakref.ref(buffer)
    app.emit("x", buffer)
    del buffer
    app.close()
    gc.collect()
    assert gone() is not None
    assert views[0].tobytes() == bytes(range(10, 20))
    views.clear()
    gc.collect()
    assert gone() is None


def test_a_file_in_memory_is_data_too(app: faas.App) -> None:
    with mmap.mmap(-1, 8192) as file:
        file[:4] = b"abcd"
        event = faas.Event.new("x", file)
        assert event.data[:4].tobytes() == b"abcd"
        with pytest.raises(BufferError):
            file.close()
        del event


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (object(), TypeError),
        ({"a": object()}, TypeError),
        (float("nan"), ValueError),
        ({"a": float("inf")}, ValueError),
        ("\ud800", ValueError),
        ({1, 2}, TypeError),
    ],
)
def test_data_that_is_none_of_these_is_refused(
    app: faas.App, data: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        app.emit("x", data)
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError):
        app.emit("x", cycle)


@pytest.mark.parametrize("data", [b"{", "nonsense", b"\xff\xfe"])
def test_data_that_is_no_json_is_a_value_error(data: Any) -> None:
    with pytest.raises(ValueError):
        faas.Event.new("x", data).json()


@pytest.mark.parametrize("data", [b"{", "nonsense", b"\xff\xfe", b'{"a": 1}'])
def test_data_that_says_it_is_json_is_written_or_refused(data: Any) -> None:
    try:
        event = faas.Event.new("x", data, datacontenttype="application/json")
    except ValueError:
        return
    try:
        json.loads(event.to_json())
    except (ValueError, faas.FaasError):
        assert data != b'{"a": 1}'


# ---- attributes


def test_attributes_are_those_of_cloudevents() -> None:
    event = faas.Event.new(
        "order.created",
        {"a": 1},
        id="17",
        source="/shop",
        subject="order/1",
        time="2026-01-02T03:04:05Z",
        dataschema="https://example.com/schema",
        datacontenttype="application/vnd.x+json",
        traceparent="00-ab",
        count=-(2**31),
        flag=True,
        off=False,
        raw=b"\0\1",
    )
    assert (event.id, event.source, event.type) == ("17", "/shop", "order.created")
    assert (event.subject, event.time) == ("order/1", "2026-01-02T03:04:05Z")
    assert event.time_ns == 1767323045 * 10**9
    assert event.dataschema == "https://example.com/schema"
    assert event.datacontenttype == "application/vnd.x+json"
    assert event.extensions == {
        "traceparent": "00-ab",
        "count": -(2**31),
        "flag": True,
        "off": False,
        "raw": b"\0\1",
    }
    assert event.extensions["flag"] is True
    written = json.loads(event.to_json())
    assert written["specversion"] == "1.0" and written["data"] == {"a": 1}
    assert repr(event) == "<faas.Event order.created from /shop, id 17>"


def test_an_event_has_an_id_of_its_own_and_the_apps_source() -> None:
    with faas.App("shop") as app, faas.App(source="urn:other") as other:
        events: list[faas.Event] = []
        app.on(name="x")(events.append)
        other.on(name="x")(events.append)
        for _ in range(100):
            app.emit("x")
            other.emit("x")
        assert {e.source for e in events} == {"/shop", "urn:other"}
        assert len({e.id for e in events}) == 200
    made = [faas.Event.new("x") for _ in range(100)]
    assert len({e.id for e in made}) == 100 and made[0].source == "/"


@pytest.mark.parametrize(
    "attributes",
    [
        {"id": ""},
        {"source": ""},
        {"source": "not a uri"},
        {"time": "yesterday"},
        {"time": "2026-13-01T00:00:00Z"},
        {"UPPER": "x"},
        {"under_score": "x"},
        {"ä": "x"},
        {"count": 2**31},
        {"count": -(2**31) - 1},
        {"count": 2**100},
        {"id": "a\0b"},
        {"subject": "a\0b"},
        {"x": "a\0b"},
        {"x\0y": "a"},
        {"subject": "\ud800"},
        {"\ud800": "x"},
        {"x": "\ud800"},
        {f"x{i}": "y" for i in range(100)},
    ],
)
def test_an_attribute_that_is_malformed_is_a_value_error(
    app: faas.App, attributes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        app.emit("x", **attributes)
    with pytest.raises(ValueError):
        faas.Event.new("x", **attributes)


@pytest.mark.parametrize("attributes", [{"id": 5}, {"subject": b"x"}, {"x": 1.5}, {"x": []}])
def test_an_attribute_of_a_wrong_type_is_a_type_error(
    app: faas.App, attributes: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        app.emit("x", **attributes)


@pytest.mark.parametrize("kind", ["", "a\0b", "\ud800"])
def test_a_type_that_is_malformed_is_a_value_error(app: faas.App, kind: str) -> None:
    with pytest.raises(ValueError):
        app.emit(kind)


def test_emit_takes_a_type_and_data() -> None:
    with faas.App() as app:
        with pytest.raises(TypeError):
            app.emit()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            app.emit("a", "b", "c")  # type: ignore[call-arg]
        for wrong in (5, None, b"x"):
            with pytest.raises(TypeError):
                app.emit(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            faas.Event.new()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            faas.Event()

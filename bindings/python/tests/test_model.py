# SPDX-License-Identifier: MIT
"""Models: arrays in and out, by the known answers of the test data."""

import os
from pathlib import Path

import pytest

import faas

np = pytest.importorskip("numpy")

MODELS = Path(os.environ.get("FAAS_MODELS_DIR", "/nonexistent"))
LIBRARY = Path(os.environ.get("FAAS_DATA_DIR", "/nonexistent")) / "libonnxruntime.so"

pytestmark = pytest.mark.skipif(
    not (MODELS / "mnist/model.onnx").exists() or not LIBRARY.exists(),
    reason="no models, or no ONNX Runtime",
)


@pytest.fixture
def app():
    with faas.App("models") as app:
        yield app


def model(app, path, **options):
    return app.model(MODELS / path, library=str(LIBRARY), **options)


def digits():
    raw = np.fromfile(MODELS / "mnist/t10k-images-idx3-ubyte", np.uint8)[16:]
    return raw.reshape(-1, 1, 1, 28, 28).astype(np.float32)


def test_a_model_of_one_input_gives_the_known_answers(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    expected = np.fromfile(MODELS / "mnist/expected_logits_first100.f32", np.float32)
    got = np.concatenate([digit(x) for x in digits()[:100]])
    np.testing.assert_allclose(got, expected.reshape(100, 10), rtol=1e-5)
    assert digit.model_stats()["loads"] == 1
    assert digit.stats()["invocations"] == 100


def test_a_batch_of_rows_is_one_call(app):
    iris = model(app, "iris_rf/model.onnx", name="iris")
    x = np.fromfile(MODELS / "iris_rf/input_6x4.f32", np.float32).reshape(6, 4)
    out = iris(x)
    assert out["output_label"].tolist() == [2, 1, 1, 2, 2, 1]
    expected = np.fromfile(MODELS / "iris_rf/expected_prob_6x3.f32", np.float32)
    np.testing.assert_allclose(out["output_probability"], expected.reshape(6, 3), atol=1e-5)


def test_inputs_go_by_name_and_state_is_carried(app):
    vad = model(app, "silero_vad/model.onnx", name="vad")
    pcm = np.fromfile(MODELS / "silero_vad/test_16k_mono_s16.wav", np.int16)[22:]
    samples = pcm.astype(np.float32) / 32768
    expected = np.fromfile(MODELS / "silero_vad/expected_probs_1875.f32", np.float32)
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros(64, np.float32)
    for i in range(100):
        chunk = np.concatenate([context, samples[i * 512 : (i + 1) * 512]])
        out = vad(input=chunk.reshape(1, 576), state=state, sr=np.array(16000))
        state, context = out["stateN"], chunk[-64:]
        assert abs(float(out["output"][0, 0]) - expected[i]) < 1e-4


def test_an_answer_is_the_engines_memory_and_read_only(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    x = digits()[0]
    digit(x)  # the first call asks for the shapes
    answer = digit(x)
    assert not answer.flags.owndata and not answer.flags.writeable
    kept = answer.copy()
    for other in digits()[1:20]:
        digit(other)
    assert (answer == kept).all()  # it stays, whatever runs meanwhile


def test_what_does_not_fit_is_refused_before_the_model_runs(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    digit(digits()[0])
    ran = digit.stats()["invocations"]
    for wrong, error, text in [
        (np.zeros((1, 1, 28, 28)), faas.WrongType, r"expected f32\[1,1,28,28\], got d"),
        (np.zeros((28, 28), np.float32), faas.WrongType, r"got f\[28, 28\]"),
        (np.zeros((1, 1, 28, 56), np.float32)[..., ::2], ValueError, "contiguous"),
        ("text", TypeError, "bytes-like"),
        (7, TypeError, ""),
    ]:
        with pytest.raises(error, match=text):
            digit(wrong)
    assert digit.stats()["invocations"] == ran


def test_a_wrong_name_of_an_input_is_named(app):
    vad = model(app, "silero_vad/model.onnx", name="vad")
    with pytest.raises(faas.WrongType, match="nonsense|inputs were expected"):
        vad(nonsense=np.zeros((1, 576), np.float32))
    with pytest.raises(TypeError, match="numpy.array"):
        vad(input=np.zeros((1, 576), np.float32), sr=16000)


def test_a_file_that_is_no_model_says_so_at_the_first_call(app, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    broken = app.model(bad, library=str(LIBRARY))
    with pytest.raises(faas.InitError, match="bad"):
        broken(np.zeros(3, np.float32))


def test_a_missing_engine_says_where_it_was_looked_for(app):
    with pytest.raises(faas.LoadError, match="/nonexistent/libonnxruntime.so"):
        app.model(MODELS / "mnist/model.onnx", library="/nonexistent/libonnxruntime.so")


def test_a_model_runs_on_a_worker(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    futures = [digit.submit(x) for x in digits()[:20]]
    labels = np.fromfile(MODELS / "mnist/t10k-labels-idx1-ubyte", np.uint8)[8:]
    assert sum(int(f.result().argmax() == y) for f, y in zip(futures, labels)) >= 19


def test_describe_names_inputs_and_outputs(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    assert digit.describe()["inputs"] == [
        {"name": "Input3", "type": "f32", "shape": [1, 1, 28, 28], "batch_axis": None}
    ]


def test_a_refused_model_leaves_its_name_free(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    with pytest.raises(faas.Exists):
        model(app, "mnist/model.onnx", name="digits")
    digit.unregister()
    model(app, "mnist/model.onnx", name="digits")(digits()[0])


def test_an_unregistered_model_is_forgotten_with_what_it_submitted(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    assert digit.submit(digits()[0]).result().shape == (1, 10)
    digit.unregister()
    assert app.stats()["functions"] == {}


def test_a_model_is_submitted_with_options(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    answer = digit.submit_with((digits()[0],), group="g", priority="high").result()
    assert answer.argmax() == 7


def test_an_update_of_a_model_names_the_nearest_option(app):
    digit = model(app, "mnist/model.onnx", name="digits")
    with pytest.raises(TypeError, match="'concurrency'"):
        digit.update(concurency=1)
    digit.update(concurrency=1)

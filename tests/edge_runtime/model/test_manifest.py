from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import ManifestError
from edge_runtime.model.manifest import Calibration, GoldenSample, Manifest, MeasuredAccuracy, UnknownThreshold
from edge_runtime.types import BackendInfo, Category, InputContract, Prediction, TensorSpec

numbers = st.floats(-1000, 1000, allow_nan=False)
positive = st.floats(1e-3, 1000)
counts = st.integers(0, 2**63 - 1)


@st.composite
def contracts(draw: st.DrawFn) -> InputContract:
    color = draw(st.sampled_from(["rgb", "bgr", "gray"]))
    count = 1 if color == "gray" else draw(st.sampled_from([1, 3]))
    return InputContract(
        draw(st.integers(1, 999)),
        draw(st.integers(1, 999)),
        color,
        draw(st.sampled_from(["center", "stretch"])),
        draw(st.sampled_from(["pyramid", "linear", "area", "nearest"])),
        tuple(draw(st.lists(numbers, min_size=count, max_size=count))),
        tuple(draw(st.lists(positive, min_size=count, max_size=count))),
    )


tensors = st.builds(
    TensorSpec,
    st.sampled_from(["float32", "int8", "uint8"]),
    st.lists(st.integers(1, 999), min_size=1, max_size=4).map(tuple),
    st.floats(0, 10),
    st.integers(-128, 255),
)
manifests = st.builds(
    Manifest,
    input=contracts(),
    input_tensor=tensors,
    output_tensor=tensors,
    activation=st.sampled_from(["softmax", "sigmoid", "none"]),
    model_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    provenance=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())),
    accuracy=st.lists(st.builds(MeasuredAccuracy, st.text(), counts, st.floats(0, 1)), max_size=2).map(tuple),
    calibration=st.none() | st.builds(Calibration, counts, st.text(), counts),
    golden=st.lists(
        st.builds(GoldenSample, st.text(), st.lists(numbers | st.integers(-9, 9), max_size=5).map(tuple), st.text()),
        max_size=2,
    ).map(tuple),
    temperature=st.floats(0.1, 10),
    unknown=st.none() | st.builds(UnknownThreshold, st.floats(0, 1), st.floats(0, 1), counts),
)


@given(manifests)
def test_a_manifest_comes_back_as_it_was_written(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json().encode()) == manifest


def test_a_manifest_from_before_temperature_and_threshold_loads() -> None:
    values = json.loads(changed())
    del values["temperature"], values["unknown"]
    manifest = Manifest.from_json(json.dumps(values))
    assert (manifest.temperature, manifest.unknown) == (1.0, None)


@given(contracts(), tensors)
def test_contracts_and_tensors_survive_json(contract: InputContract, tensor: TensorSpec) -> None:
    assert InputContract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract
    assert TensorSpec.from_dict(json.loads(json.dumps(tensor.to_dict()))) == tensor


class TestDamagedManifests:
    def test_a_later_schema_says_what_to_do(self) -> None:
        with pytest.raises(ManifestError, match=r"schema version 2, but .* reads version 1\. Install"):
            Manifest.from_json(changed(schema_version=2))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "{}", b"\xff\xfe\x00"])
    def test_what_is_no_manifest_is_refused(self, text: str | bytes) -> None:
        with pytest.raises(ManifestError, match="Export the model again"):
            Manifest.from_json(text)

    @pytest.mark.parametrize("key", ["input", "input_tensor", "activation", "model_sha256", "golden", "calibration"])
    def test_a_missing_part_is_named(self, key: str) -> None:
        values = json.loads(EXAMPLE.to_json())
        del values[key]
        with pytest.raises(ManifestError, match=key):
            Manifest.from_json(json.dumps(values))

    @pytest.mark.parametrize(
        "values",
        [
            {"input": {**InputContract(8, 8).to_dict(), "std": [0]}},
            {"input": {**InputContract(8, 8).to_dict(), "std": [float("nan")]}},
            {"input": {**InputContract(8, 8).to_dict(), "mean": ["128"]}},
            {"input": {**InputContract(8, 8).to_dict(), "mean": "128"}},
            {"input": {**InputContract(8, 8).to_dict(), "color": "cmyk"}},
            {"input": {**InputContract(8, 8).to_dict(), "unknown": 1}},
            {"input": []},
            {"golden": [{"pixels_sha256": "", "output": 3}]},
            {"accuracy": [{"split": "val"}]},
            {"calibration": {"count": 3}},
        ],
    )
    def test_a_value_that_makes_no_sense_is_refused(self, values: dict[str, Any]) -> None:
        with pytest.raises(ManifestError, match="Export the model again"):
            Manifest.from_json(changed(**values))


class TestInputContract:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"height": 0}, "height and width"),
            ({"width": -3}, "height and width"),
            ({"color": "hsv"}, "color.*'hsv'"),
            ({"crop": "left"}, "crop.*'left'"),
            ({"interpolation": "cubic"}, "interpolation.*'cubic'"),
            ({"mean": (1.0, 2.0)}, "mean, got 2"),
            ({"std": (1.0, 2.0, 3.0, 4.0)}, "std, got 4"),
            ({"color": "gray", "mean": (1.0, 2.0, 3.0)}, "mean, got 3"),
            ({"mean": 127.5}, "mean must be a tuple"),
            ({"mean": (float("inf"),)}, "mean must be a tuple"),
            ({"std": (float("nan"),)}, "std must be a tuple"),
            ({"std": (0.0,)}, "std must be greater than 0"),
            ({"std": (1.0, -1.0, 1.0)}, "std must be greater than 0"),
        ],
    )
    def test_is_checked_when_made(self, values: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            InputContract(**{"height": 8, "width": 8, **values})

    def test_takes_lists_and_whole_numbers(self) -> None:
        contract = InputContract(8, 8, mean=[127, 127, 127], std=[128])  # type: ignore[arg-type]
        assert contract == InputContract(8, 8, mean=(127.0, 127.0, 127.0), std=(128.0,))
        assert hash(contract) == hash(InputContract(8, 8, mean=(127.0, 127.0, 127.0), std=(128.0,)))

    def test_counts_its_channels(self) -> None:
        assert InputContract(8, 8).channels == 3
        assert InputContract(8, 8, color="gray").channels == 1


class TestPrediction:
    def test_top_is_the_first_category_or_nothing(self) -> None:
        best = Category(2, "cat", 0.75)
        assert Prediction((best, Category(0, "dog", 0.25)), 1.0, 2.0, 4.0).top == best
        assert Prediction((), 1.0, 2.0, 4.0).top is None

    def test_adds_its_times_up(self) -> None:
        assert Prediction((), 1.0, 2.0, 4.0).total_ms == 7.0

    def test_is_made_of_what_json_holds(self) -> None:
        prediction = Prediction((Category(2, "cat", 0.75),), 1.0, 2.0, 4.0)
        assert json.loads(json.dumps(prediction.to_dict())) == {
            "categories": [{"index": 2, "label": "cat", "score": 0.75}],
            "preprocess_ms": 1.0,
            "inference_ms": 2.0,
            "postprocess_ms": 4.0,
        }


def test_backend_info_is_made_of_what_json_holds() -> None:
    tuples = {"notes": ("a note",), "undelegated": ("SOFTMAX",)}
    info = BackendInfo("tflite_runtime", "2.14.0", 2, "off", "no reason", 3, 7, **tuples)
    assert BackendInfo(**{**json.loads(json.dumps(info.to_dict())), **tuples}) == info


EXAMPLE = Manifest(
    InputContract(8, 8), TensorSpec("int8", (1, 8, 8, 3), 0.1), TensorSpec("int8", (1, 2), 0.1), "softmax", "0" * 64
)


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(EXAMPLE.to_json()), **values})

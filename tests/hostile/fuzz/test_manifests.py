"""Any bytes are a manifest or are refused in a sentence."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ManifestError
from edge_runtime.model.manifest import Calibration, GoldenSample, Manifest, MeasuredAccuracy, UnknownThreshold
from edge_runtime.types import InputContract, TensorSpec
from tests.hostile.fuzz.refusal import check_refusal

EXAMPLE = Manifest(
    input=InputContract(96, 96),
    input_tensor=TensorSpec("int8", (1, 96, 96, 3), 0.0078, -1),
    output_tensor=TensorSpec("int8", (1, 3), 0.0039, -128),
    activation="softmax",
    model_sha256="0" * 64,
    provenance={"backbone": "tiny"},
    accuracy=(MeasuredAccuracy("val", 120, 0.9, 0.89, 0.97, "XNNPACK"),),
    calibration=Calibration(24, "1" * 64, 0),
    golden=(GoldenSample("2" * 64, (1.0, 2.0, 3.0), "", 1),),
    thresholds=(0.5, 0.5, 0.5),
    unknown=UnknownThreshold(0.4, 0.95, 100),
)
TEXT = EXAMPLE.to_json()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([2**63, 10**400, -1, "rgb", "float32", "softmax"])
)
values = st.recursive(
    scalars,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=5), deeper, max_size=3),
    max_leaves=5,
)


def read(content: str | bytes) -> Manifest | None:
    """The manifest that a text is; None where it was refused."""
    started = time.perf_counter()
    try:
        manifest = Manifest.from_json(content)
    except ManifestError as error:
        check_refusal(error)
        return None
    finally:
        assert time.perf_counter() - started < 20
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.input.height > 0
    assert all(isinstance(length, int) for length in manifest.input_tensor.shape)
    assert isinstance(manifest.model_sha256, str)
    return manifest


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Each container of a tree with each of its keys."""
    keys: list[Any] = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    return [(tree, key) for key in keys] + [place for key in keys for place in places(tree[key])]


@settings(max_examples=300)
@given(st.binary(max_size=2000) | st.text(max_size=1000) | values.map(json.dumps))
def test_any_bytes_and_any_json(content: str | bytes) -> None:
    assert read(content) is None


@settings(max_examples=800)
@given(st.data())
def test_a_manifest_with_another_value_somewhere(data: st.DataObject) -> None:
    tree = json.loads(TEXT)
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(places(tree)))
        if data.draw(st.booleans()):
            container[key] = data.draw(values)
        else:
            del container[key]
    read(json.dumps(tree))


@settings(max_examples=500)
@given(st.integers(0, len(TEXT)), st.integers(0, 20), st.binary(max_size=10))
def test_changed_bytes(at: int, length: int, inserted: bytes) -> None:
    content = TEXT.encode()
    read(content[:at] + inserted + content[at + length :])


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "relu"},
        {"activation": ["softmax"]},
        {"model_sha256": 7},
        {"provenance": []},
        {"temperature": "warm"},
        {"temperature": float("inf")},
        {"thresholds": [float("nan")]},
        {"thresholds": "0.5"},
        {"input": {**InputContract(8, 8).to_dict(), "height": 8.5}},
        {"input": {**InputContract(8, 8).to_dict(), "mean": [10**400]}},
        {"input_tensor": {"dtype": "int8", "shape": ["1"], "scale": 1, "zero_point": 0}},
        {"golden": [{"pixels_sha256": "", "output": [10**400]}]},
        {"golden": [{"pixels_sha256": "", "output": [True]}]},
        {"calibration": {"count": True, "sha256": "", "seed": 0}},
        {"unknown": {"certainty": None, "kept": 1, "count": 1}},
    ],
)
def test_a_value_of_another_type_is_refused(change: dict[str, Any]) -> None:
    assert read(json.dumps({**json.loads(TEXT), **change})) is None


def test_what_is_nested_or_large_without_end_is_refused_in_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in ("[" * 1_000_000, '{"a":' * 1_000_000, "[" + "[]," * 3_000_000 + "[]]", "9" * 1_000_000):
        assert read(content) is None
    most = "[" + "[]," * ((8 << 20) // 3 - 2) + "[]]"
    assert len(most) < 8 << 20
    assert read(most) is None
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 300


def test_a_manifest_that_is_one() -> None:
    assert read(TEXT) == EXAMPLE

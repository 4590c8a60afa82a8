from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import ManifestError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.golden import (
    SCORE_TOLERANCE,
    SampleCheck,
    all_passed,
    draw_pattern,
    make_sample,
    verify_model,
)
from edge_runtime.model.manifest import GoldenSample
from tests.support.strange_pictures import bomb
from tests.support.tiny import CONTRACT, LABELS, TinyModels, export, picture
from trainer.export.model_file import restamp


@pytest.fixture(params=["fp32", "int8"])
def tiny(request: pytest.FixtureRequest, tiny_models: TinyModels, tmp_path: Path) -> Path:
    """A copy of a float and a quantized model file, to be restamped."""
    path = tmp_path / f"{request.param}.tflite"
    path.write_bytes(getattr(tiny_models, request.param).read_bytes())
    return path


def samples_of(path: Path) -> tuple[GoldenSample, ...]:
    with Classifier(path) as classifier:
        manifest = classifier.model.manifest
    assert manifest is not None
    return manifest.golden


def check_with(path: Path, *samples: GoldenSample) -> tuple[SampleCheck, ...]:
    """Replace the model's golden samples and verify it."""
    with Classifier(path) as classifier:
        manifest = classifier.model.manifest
    assert manifest is not None
    restamp(path, replace(manifest, golden=samples))
    with Classifier(path) as classifier:
        return verify_model(classifier)


class TestVerify:
    def test_passes_where_the_samples_were_made(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            checks = verify_model(classifier)
        assert len(checks) == 2
        assert all_passed(checks)
        assert all(check.score_difference < 1e-6 for check in checks)

    @pytest.mark.parametrize("kernels", ["on", "off"])
    def test_passes_with_either_kernels(self, tiny_int8: Path, kernels: str) -> None:
        with Classifier(tiny_int8, int8_kernels=kernels) as classifier:  # type: ignore[arg-type]
            assert all_passed(verify_model(classifier))

    @pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="needs LiteRT, the extra [litert]")
    @pytest.mark.parametrize("kernels", ["auto", "off"])
    def test_passes_with_litert(self, tiny: Path, kernels: str) -> None:
        with Classifier(tiny, backend="ai_edge_litert", int8_kernels=kernels) as classifier:  # type: ignore[arg-type]
            assert all_passed(verify_model(classifier))

    def test_notices_other_pixels(self, tiny: Path) -> None:
        good, _ = samples_of(tiny)
        (check,) = check_with(tiny, replace(good, pixels_sha256=hashlib.sha256(b"other").hexdigest()))
        assert not check.pixels_equal
        assert check.score_difference < 1e-6
        assert not check.passed
        assert not all_passed([check])

    def test_notices_another_resize_or_channel_order(self, tiny: Path) -> None:
        # The usual mistake: reading the file with another input contract.
        for contract in (replace(CONTRACT, color="bgr"), replace(CONTRACT, crop="stretch")):
            with Classifier(tiny, contract=contract) as classifier:
                checks = verify_model(classifier)
            assert not any(check.pixels_equal for check in checks)
            assert not all_passed(checks)

    def test_notices_another_normalization(self, tiny: Path) -> None:
        with Classifier(tiny, contract=replace(CONTRACT, mean=(0.0,), std=(255.0,))) as classifier:
            checks = verify_model(classifier)
        assert all(check.pixels_equal for check in checks)
        assert not all_passed(checks)

    def test_notices_another_answer(self, tiny: Path) -> None:
        good, _ = samples_of(tiny)
        turned = replace(good, output=good.output[::-1])
        (check,) = check_with(tiny, turned)
        assert check.pixels_equal
        assert not check.same_top
        assert check.score_difference > 0.5
        assert not check.passed

    def test_one_bad_sample_of_many_fails(self, tiny: Path) -> None:
        good, drawn = samples_of(tiny)
        checks = check_with(tiny, good, drawn, replace(good, output=good.output[::-1]))
        assert [check.passed for check in checks] == [True, True, False]
        assert not all_passed(checks)

    @pytest.mark.parametrize(
        "png", ["no base64!", "====", *(base64.b64encode(data).decode() for data in (b"no PNG", bomb(4001, 4000)))]
    )
    def test_refuses_a_damaged_picture(self, tiny: Path, png: str) -> None:
        good, _ = samples_of(tiny)
        with pytest.raises(ManifestError, match="A golden sample is not a PNG"):
            check_with(tiny, replace(good, png=png))

    def test_refuses_outputs_of_another_length(self, tiny: Path) -> None:
        good, _ = samples_of(tiny)
        with pytest.raises(ManifestError, match="3 outputs in a golden sample, got 2"):
            check_with(tiny, replace(good, output=good.output[:2]))

    def test_a_model_without_samples_says_what_else_to_do(self, tiny_models: TinyModels, tmp_path: Path) -> None:
        path = tmp_path / "plain.tflite"
        export(path, tiny_models.fp32_content)
        with (
            Classifier(path) as classifier,
            pytest.raises(ManifestError, match=r"plain\.tflite.*edge-runtime classify"),
        ):
            verify_model(classifier)
        path.write_bytes(tiny_models.fp32_content)
        with Classifier(path, labels=LABELS, contract=CONTRACT) as classifier, pytest.raises(ManifestError):
            verify_model(classifier)


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (SampleCheck(True, 0.0, True), True),
        (SampleCheck(True, SCORE_TOLERANCE, True), True),
        (SampleCheck(True, SCORE_TOLERANCE + 0.01, True), False),
        (SampleCheck(True, 0.0, False), False),
        (SampleCheck(False, 0.0, True), False),
    ],
)
def test_a_sample_passes_when_everything_is_right(check: SampleCheck, passed: bool) -> None:
    assert check.passed is passed
    assert all_passed([SampleCheck(True, 0.0, True), check]) is passed


class TestSamples:
    def test_keep_a_frame_without_loss(self, tiny: Path) -> None:
        frame = picture("green", seed=9)
        with Classifier(tiny) as classifier:
            sample = make_sample(classifier, frame)
            expected = classifier.raw_output(frame, color="rgb")
        assert sample.pattern_seed == 0
        assert np.array(sample.output) == pytest.approx(expected, rel=1e-6)
        (check,) = check_with(tiny, sample)
        assert check.passed

    def test_may_be_drawn_and_then_cost_nothing(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            sample = make_sample(classifier, 7)
        assert (sample.png, sample.pattern_seed) == ("", 7)
        (check,) = check_with(tiny, sample)
        assert check.passed

    def test_hold_what_the_network_stores(self, tiny_int8: Path) -> None:
        assert all(float(value).is_integer() for sample in samples_of(tiny_int8) for value in sample.output)


class TestPattern:
    def test_is_the_same_on_every_machine(self) -> None:
        digests = [hashlib.sha256(draw_pattern(seed).tobytes()).hexdigest()[:16] for seed in (0, 1, 2)]
        assert digests == ["7cc54050eaa7dc0c", "c437836210026735", "8424f99b1a4c0b57"]

    def test_is_a_camera_frame_that_differs_by_seed(self) -> None:
        one, other = draw_pattern(1), draw_pattern(2)
        assert one.shape == (480, 640, 3)
        assert one.dtype == np.uint8
        assert (one != other).mean() > 0.5
        assert one.std() > 50

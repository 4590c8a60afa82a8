from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edge_runtime.errors import BackendError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.interpreter import choose_backend, default_num_threads
from edge_runtime.types import InputContract
from tests.support.tiny import LABELS, TinyModels, picture


def installed(name: str) -> bool:
    return find_spec(name) is not None


needs_tflite_runtime = pytest.mark.skipif(not installed("tflite_runtime"), reason="needs tflite-runtime")
needs_litert = pytest.mark.skipif(not installed("ai_edge_litert"), reason="needs LiteRT, the extra [litert]")


@needs_tflite_runtime
class TestInt8Kernels:
    def test_are_on_by_themselves_and_take_the_convolutions(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, backend="tflite_runtime") as classifier:
            backend = classifier.backend
        assert (backend.name, backend.version) == ("tflite_runtime", "2.14.0")
        assert (backend.int8_kernels, backend.int8_kernels_reason) == ("on", "")
        assert backend.delegated_ops is not None
        assert backend.total_ops is not None
        assert 3 <= backend.delegated_ops <= backend.total_ops

    def test_off_leaves_the_model_to_the_kernels_of_the_wheel(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, backend="tflite_runtime", int8_kernels="off") as classifier:
            backend = classifier.backend
        assert (backend.int8_kernels, backend.int8_kernels_reason) == ("off", "switched off by the caller")
        assert backend.delegated_ops == 0

    @pytest.mark.slow
    def test_are_off_for_a_model_that_they_do_not_take(self, tmp_path: Path) -> None:
        from trainer.quantization.convert import convert_int8
        from trainer.training.networks.backbones import build_model, get_backbone

        # Untrained, its activations shrink from layer to layer until the kernels reject their scale.
        contract = InputContract(96, 96)
        network = build_model(get_backbone("mobilenet_v2_0.35"), num_classes=3, input_size=96)
        images = np.random.default_rng(0).integers(0, 256, (16, 96, 96, 3)).astype(np.uint8)
        path = tmp_path / "untrained.tflite"
        path.write_bytes(convert_int8(network, images, contract=contract))
        options: dict[str, Any] = {"backend": "tflite_runtime", "labels": ["a", "b", "c"], "contract": contract}
        with Classifier(path, **options) as classifier:
            assert classifier.backend.int8_kernels == "off"
            assert "they reject this model" in classifier.backend.int8_kernels_reason
            assert classifier.classify(images[0]).top is not None
        with pytest.raises(BackendError, match=r"rejects untrained\.tflite"):
            Classifier(path, int8_kernels="on", **options)

    def test_a_float_model_does_not_need_them(self, tiny_fp32: Path) -> None:
        for wish in ("auto", "on", "off"):
            with Classifier(tiny_fp32, backend="tflite_runtime", int8_kernels=cast(Any, wish)) as classifier:
                assert classifier.backend.int8_kernels == "not needed"
                assert classifier.backend.delegated_ops == classifier.backend.total_ops

    def test_the_environment_says_what_auto_means(self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGE_RUNTIME_INT8_KERNELS", "off")
        with Classifier(tiny_int8, backend="tflite_runtime") as classifier:
            assert classifier.backend.int8_kernels == "off"
            assert "EDGE_RUNTIME_INT8_KERNELS" in classifier.backend.int8_kernels_reason
        with Classifier(tiny_int8, backend="tflite_runtime", int8_kernels="on") as classifier:
            assert classifier.backend.int8_kernels == "on"

    def test_move_scores_by_rounding_only(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, int8_kernels="on") as fast, Classifier(tiny_int8, int8_kernels="off") as slow:
            for seed in range(20):
                frame = picture(LABELS[seed % 3], seed=seed)
                assert fast.scores(frame, color="rgb") == pytest.approx(slow.scores(frame, color="rgb"), abs=0.1)

    @needs_litert
    def test_give_bit_for_bit_what_litert_gives(self, tiny_int8: Path) -> None:
        ours, litert = Classifier(tiny_int8, int8_kernels="on"), Classifier(tiny_int8, backend="ai_edge_litert")
        with ours, litert:
            for seed in range(20):
                frame = picture(LABELS[seed % 3], seed=seed)
                assert (ours.raw_output(frame) == litert.raw_output(frame)).all()


@needs_litert
class TestLiteRt:
    def test_has_the_kernels_built_in(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, backend="ai_edge_litert") as classifier:
            assert classifier.backend.name == "ai_edge_litert"
            assert classifier.backend.int8_kernels == "built in"
            assert classifier.classify(picture("green"), color="rgb").categories[0].label == "green"

    def test_lets_them_be_switched_off(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, backend="ai_edge_litert", int8_kernels="off") as classifier:
            assert classifier.backend.int8_kernels == "off"
            assert classifier.backend.delegated_ops in (0, None)

    @needs_tflite_runtime
    def test_serves_where_tflite_runtime_is_not_installed_and_says_so(
        self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "tflite_runtime", None)
        with Classifier(tiny_int8) as classifier:
            assert classifier.backend.name == "ai_edge_litert"
            assert classifier.backend.notes == (
                "tflite_runtime: not installed. "
                "Install it with pip install tflite-runtime (Linux, Python 3.11 or older).",
            )

    @needs_tflite_runtime
    def test_serves_where_numpy_is_too_new_for_tflite_runtime(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(np, "__version__", "2.1.3")
        name, notes = choose_backend()
        assert name == "ai_edge_litert"
        assert "NumPy 2.1.3" in notes[0]

    @needs_tflite_runtime
    def test_serves_where_tflite_runtime_is_broken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # The system's C library is too old for the wheel.
        (tmp_path / "tflite_runtime").mkdir()
        (tmp_path / "tflite_runtime" / "__init__.py").touch()
        (tmp_path / "tflite_runtime" / "interpreter.py").write_text("raise ImportError('GLIBC_2.34 not found')")
        for name in [name for name in sys.modules if name.split(".")[0] == "tflite_runtime"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(tmp_path)
        name, notes = choose_backend()
        assert name == "ai_edge_litert"
        assert "cannot be imported (GLIBC_2.34 not found)" in notes[0]


class TestChoice:
    def test_tflite_runtime_goes_first(self) -> None:
        expected = "tflite_runtime" if installed("tflite_runtime") else "ai_edge_litert"
        assert choose_backend()[0] == expected

    @needs_tflite_runtime
    def test_numpy_2_is_refused_before_it_fails_inside(self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(np, "__version__", "2.1.3")
        with pytest.raises(
            BackendError, match=r"tflite_runtime: it needs NumPy 1, and NumPy 2\.1\.3 is.*pip install 'numpy<2'"
        ):
            Classifier(tiny_int8, backend="tflite_runtime")

    def test_none_at_all_names_the_ways_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("tflite_runtime", "ai_edge_litert"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(BackendError, match=r"pip install tflite-runtime.*pip install 'edge-image-sdk\[litert\]'"):
            choose_backend()

    def test_an_unknown_one_is_refused(self) -> None:
        with pytest.raises(BackendError, match="tflite_runtime, ai_edge_litert, got 'tensorflow'"):
            choose_backend("tensorflow")


class TestOptions:
    @pytest.mark.parametrize("num_threads", [0, -1, 1.5, "2"])
    def test_threads_are_counted_from_one(self, tiny_int8: Path, num_threads: Any) -> None:
        with pytest.raises(BackendError, match=r"num_threads.*at least 1"):
            Classifier(tiny_int8, num_threads=num_threads)

    def test_an_unknown_wish_about_the_kernels_is_refused(self, tiny_int8: Path) -> None:
        with pytest.raises(BackendError, match="auto, on, off, got 'fast'"):
            Classifier(tiny_int8, int8_kernels="fast")  # type: ignore[arg-type]

    def test_the_number_of_threads_changes_no_answer(self, tiny_int8: Path) -> None:
        frame = picture("red")
        with Classifier(tiny_int8, num_threads=1) as one, Classifier(tiny_int8, num_threads=3) as three:
            assert (one.backend.num_threads, three.backend.num_threads) == (1, 3)
            assert (one.raw_output(frame) == three.raw_output(frame)).all()

    def test_the_default_is_the_cores_up_to_four(self, tiny_int8: Path) -> None:
        assert 1 <= default_num_threads() <= 4
        with Classifier(tiny_int8) as classifier:
            assert classifier.backend.num_threads == default_num_threads()


def test_a_model_that_the_backend_refuses_is_an_error_with_its_reason(tiny_models: TinyModels, tmp_path: Path) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    path = tmp_path / "later.tflite"
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tiny_models.fp32_content))
    for code in model.operatorCodes:
        code.version = 99
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(BackendError, match=r"rejects later\.tflite: .*version.*99") as raised:
        Classifier(path, labels=LABELS, contract=tiny_models.contract, activation="softmax")
    assert "\n" not in str(raised.value)

"""The compression report: what programs read back, and a page that says what was won and what it cost."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.reports.test_report import Page
from trainer.errors import OutputFolderError
from trainer.reports.compression_page import (
    CompressionContent,
    headline,
    render_compression_page,
    times_text,
    write_compression_report,
)
from trainer.reports.figures.scatter import _number_offsets, _ticks, looks, scatter_svg
from trainer.types import LadderStep, Variant

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

# Network, precision, accuracy on validation, file, gzip, million multiply-adds, latency.
FIGURES = (
    ("teacher", "fp32", 0.916, 8_900_000, 8_240_000, 300.8, 3.43),
    ("student", "fp32", 0.871, 1_620_000, 1_490_000, 30.1, 0.61),
    ("student", "int8", 0.867, 628_000, 481_000, 30.1, 0.42),
    ("distilled", "fp32", 0.895, 1_620_000, 1_490_000, 30.1, 0.60),
    ("distilled", "int8", 0.893, 628_000, 481_000, 30.1, 0.42),
    ("pruned", "fp32", 0.889, 1_050_000, 960_000, 15.2, 0.37),
    ("pruned", "int8", 0.887, 430_000, 330_000, 15.2, 0.27),
    ("sparse", "fp32", 0.884, 1_050_000, 420_000, 15.2, 0.37),
    ("sparse", "int8", 0.883, 430_000, 161_000, 15.2, 0.272),
)


def variant(network, precision, accuracy, size, gzipped, macs, latency, **changes) -> Variant:
    values = {
        "name": f"{network}_{precision}",
        "network": network,
        "precision": precision,
        "title": f"{network.capitalize()}, {precision.upper()}",
        "accuracies": {"val": accuracy, "test": accuracy - 0.01},
        "size_bytes": size,
        "gzip_bytes": gzipped,
        "macs": int(macs * 1e6),
        "sparsity": {"sparse": 0.75, "pruned": 0.004}.get(network, 0.0),
        "latency_ms": latency,
        "speedup": (3.43 / latency, 3.3 / latency, 3.5 / latency),
    }
    return Variant(**{**values, **changes})


def made(**changes) -> CompressionContent:
    """A report with everything in it."""
    first, *between, last = FIGURES
    variants = (
        variant(*first, speedup=None, baseline=True),
        *(variant(*figures) for figures in between),
        variant(*last, ships=True),
    )
    content = CompressionContent(
        title="animals",
        variants=variants,
        rungs=(
            LadderStep("plain", "Plain quantization", 0.861, 2.8, 91.2, False, 14.0, remark="512 pictures"),
            LadderStep(
                "qat", "Quantization-aware training", 0.883, 0.1, 97.8, True, 184.0, remark="4 epochs", chosen=True
            ),
        ),
        max_drop=1.0,
        layer_errors=(("block_1_expand", 0.91), ("stem", 0.44), ("head", 0.31)),
        layer_sparsity={"block_1_expand": 0.75, "head": 0.5},
        layer_widths=(("block_1_expand", 96, 48), ("block_2_expand", 144, 144)),
        calibration=((64, 0.31), (128, 0.04)),
        conditions="A test's CPU, 1 thread",
        count=250,
        notes=("Trained for a test.",),
    )
    return replace(content, **changes)


def text_of(content: CompressionContent) -> str:
    return Page(render_compression_page(content)).text


def test_page_tells_everything():
    text = text_of(made())
    for words in (
        "The edge model is 13 times faster and 21 times smaller than the FP32 baseline, "
        "and loses 3.3 points on the test photos.",
        "Edge model: Sparse, INT8. Baseline: Teacher, FP32.",
        "Trained for a test.",
        "Accuracy on 250 validation photos; one photo is 0.40 points.",
        "★ 1 Teacher, FP32 (baseline)",
        "■ 9 Sparse, INT8",
        "88.3% 87.3% −3.3 points 420 KiB 157 KiB 15.2 M 75.0% 0.272 ms ×12.61 12.13–12.87",
        "A test's CPU, 1 thread.",
        "Student 87.1% 86.1% Distilled student 89.5% 88.5% +2.4 points",
        "48 of 240 channels were removed. Multiply-adds: 30.1 M → 15.2 M. Latency: 0.600 ms → 0.370 ms (FP32).",
        "block_2_expand 144 → 144",
        "shrink the compressed download, not the latency",
        "Magnitude pruning, INT8: gzip-compressed size 322 KiB → 157 KiB (49%), "
        "latency unchanged (0.270 ms → 0.272 ms).",
        "block_1_expand 75.0%",
        "The accuracy gate allows a drop of 1 point.",
        "Plain quantization 512 pictures 86.1% −2.8 points 91.2% 14.0 s ✗ failed",
        "Quantization-aware training chosen 4 epochs 88.3% −0.1 points 97.8% 3 min 4 s ✓ passed",
        "block_1_expand 0.910",
        "128 0.040",
    ):
        assert words in text, words


def test_json_has_the_same_values(tmp_path: Path):
    content = made()
    page = write_compression_report(tmp_path, content)
    assert page == tmp_path / "compression.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compression.html", "compression.json"]
    values = json.loads((tmp_path / "compression.json").read_text(encoding="utf-8"))
    assert tuple(Variant.from_dict(entry) for entry in values["variants"]) == content.variants
    assert tuple(LadderStep(**entry) for entry in values["rungs"]) == content.rungs
    assert values["headline"] == headline(content)
    assert values["layer_widths"] == [["block_1_expand", 96, 48], ["block_2_expand", 144, 144]]
    assert values["pareto"]["latency_ms"] == [
        "pruned_int8",
        "pruned_fp32",
        "distilled_int8",
        "distilled_fp32",
        "teacher_fp32",
    ]
    assert set(asdict(content)) <= set(values)


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFolderError, match=r"file/compression\.json"):
        write_compression_report(tmp_path / "file", made())


def test_what_was_not_done_is_not_told():
    baseline, edge = made().variants[3], replace(made().variants[4], ships=True)
    content = CompressionContent(
        "animals", (replace(baseline, baseline=True, speedup=None), edge), (), 1.0, (), {}, (), (), ""
    )
    text = text_of(content)
    for words in ("Distillation", "removed", "Download size,", "ladder", "error per", "calibration", "Sparsity"):
        assert words not in text, words


def test_a_failed_gate_is_not_hidden():
    assert "✓ Accuracy gate passed" in text_of(made())
    step = replace(made().rungs[0], chosen=True)
    assert "✗ Accuracy gate failed" in text_of(made(rungs=(step,)))


def test_a_sparse_model_that_is_faster_says_so():
    variants = made().variants
    text = text_of(made(variants=(*variants[:-1], replace(variants[-1], latency_ms=0.135))))
    assert "latency lower (0.270 ms → 0.135 ms)" in text


def test_a_step_is_compared_with_the_network_before_it_and_never_with_the_teacher():
    content = made()
    sparse = content.step("sparse", "int8", "fp32")
    assert sparse
    assert [v.name for v in sparse] == ["pruned_int8", "sparse_int8"]
    assert content.step("student", "fp32") is None
    assert content.step("clustered", "int8", "fp32") is None


def test_headline_speaks_of_validation_where_test_was_not_measured():
    variants = tuple(replace(v, accuracies={"val": v.accuracies["val"]}) for v in made().variants)
    assert headline(made(variants=variants)).endswith("loses 3.3 points on the validation photos.")


@pytest.mark.parametrize(("accuracy", "words"), [(0.926, "gains 1 point on"), (0.9163, "is as accurate on")])
def test_headline_of_a_model_that_loses_nothing(accuracy, words):
    edge = replace(made().variants[-1], accuracies={"val": accuracy})
    assert words in headline(made(variants=(*made().variants[:-1], edge)))


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (9.84, "9.8 times faster"),
        (9.96, "10 times faster"),
        (17.2, "17 times faster"),
        (1.04, "no faster"),
        (0.97, "no faster"),
        (0.5, "2.0 times slower"),
    ],
)
def test_times_read_well(ratio, expected):
    assert times_text(ratio, "faster", "slower") == expected


def test_content_that_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="exactly one variant as the baseline, not none"):
        made(variants=made().variants[1:])
    with pytest.raises(ValueError, match="no accuracy on 'holiday'"):
        made(split="holiday")


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", "</style><b>", '"><img src=x onerror=alert(1)>'])
def test_markup_stays_text(label):
    variants = tuple(replace(v, title=label) for v in made().variants)
    content = made(
        title=label,
        variants=variants,
        notes=(label,),
        conditions=label,
        layer_errors=((label, 0.9),) * 3,
        layer_sparsity={label: 0.5, "head": 0.5},
        layer_widths=((label, 96, 48),) * 2,
        rungs=tuple(replace(step, title=label, remark=label) for step in made().rungs),
    )
    page = Page(render_compression_page(content))
    assert page.tags == Page(render_compression_page(made())).tags
    assert label in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_page_fetches_nothing_and_runs_nothing():
    html = render_compression_page(made())
    page = Page(html)
    assert not re.search(r"https?://|@import", html)
    assert not {"script", "link", "iframe", "object", "base", "form", "img"} & set(page.tags)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert sum(name == "aria-label" for _, name, _ in page.attributes) == page.tags.count("svg") == 2
    assert "#0102" not in html


def test_every_colour_of_the_figures_is_defined_for_light_and_dark():
    html = render_compression_page(made())
    for variable in set(re.findall(r"var\((--hue-\d)\)", html)):
        assert html.count(f"{variable}:") == 2


def test_precision_is_a_shape_network_a_colour_and_the_baseline_a_star():
    shown = looks(made().variants)
    assert [look.number for look in shown] == list(range(1, 10))
    assert shown[0].glyph == "★"
    assert {look.glyph for look in shown[1:]} == {"●", "■"}
    assert shown[1].hue == shown[2].hue != shown[3].hue


@settings(deadline=None, max_examples=8)  # the first example pays for the imports
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1), st.floats(0.001, 1e4), st.integers(1, 10**9), st.sampled_from(("fp32", "int8", "new"))
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_figures_have_their_scatter_with_every_number(entries):
    variants = [variant("net", p, accuracy, size, 1, 1, latency) for accuracy, latency, size, p in entries]
    for cost in ("latency_ms", "size_bytes"):
        svg = scatter_svg(variants, cost, "val")
        for number in range(1, len(entries) + 1):
            assert f">{number}</text>" in svg


@given(st.lists(st.tuples(st.floats(60, 280), st.floats(60, 200)), min_size=1, max_size=8))
def test_numbers_lie_on_no_marker_while_there_is_room(positions):
    for (x, y), (dx, dy) in zip(positions, _number_offsets(positions), strict=True):
        assert min(math.dist((x + dx, y + dy), other) for other in positions) > 5


@given(st.floats(1e-3, 1e5), st.floats(1.32, 1e4))
def test_ticks_are_a_few_within_the_axis(low, ratio):
    ticks = _ticks(low, low * ratio)
    assert ticks == sorted(ticks)
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= low * ratio for tick in ticks)

"""The report: what programs read back, and a page that tells it, complete in itself and safe with any label."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import UnknownThreshold
from trainer.config import GateConfig, Recipe
from trainer.errors import OutputFolderError
from trainer.evaluation.accuracy_gate import judge
from trainer.evaluation.metrics import evaluation_from_answers
from trainer.reports.mistakes import Mistake, worst_mistakes
from trainer.reports.report import report_to_dict, write_report
from trainer.reports.report_content import (
    DatasetFacts,
    FileFacts,
    ModelSpeed,
    ReportContent,
    Speed,
    StageTime,
)
from trainer.reports.report_page import headline, render_page
from trainer.reports.texts import duration_text, number_text, percent, signed_points, size_text
from trainer.types import Dataset, Epoch, Evaluation, Photo, Pixels, Robustness

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
cv2 = pytest.importorskip("cv2")

HISTORY = tuple(Epoch("head", e, 1 / (e + 1), 0.6, 1.2 / (e + 1), 0.5, 1e-3, 0.1) for e in range(5)) + tuple(
    Epoch("fine-tune", e, 0.5, 0.9, 0.6, 0.8, 1e-4, 3.0) for e in range(3)
)


def evaluations(labels, *, wrong: int, count: int = 40, kind: str = "int8") -> dict[str, Evaluation]:
    """A model with its first answers wrong, on two splits."""
    true = [i % len(labels) for i in range(count)]
    said = [(t + 1) % len(labels) if i < wrong else t for i, t in enumerate(true)]
    scores = [0.9 - 0.01 * i for i in range(count)]
    of_all = np.stack([np.full(len(labels), (1 - score) / (len(labels) - 1), np.float32) for score in scores])
    of_all[np.arange(count), said] = scores
    return {
        split: evaluation_from_answers(
            f"model_{kind}.tflite", split, true, said, scores, labels, 2.0, f"{kind} kernels", of_all
        )
        for split in ("val", "test")
    }


def made(labels=("cat", "dog", "emu"), *, wrong=(4, 4), gate=None, **changes) -> ReportContent:
    """A report with everything in it; ``wrong`` answers of FP32 and of INT8."""
    gate = gate or GateConfig()
    fp32, int8 = (evaluations(labels, wrong=n, kind=kind) for n, kind in zip(wrong, ("fp32", "int8"), strict=True))
    content = ReportContent(
        title="animals",
        labels=tuple(labels),
        evaluations={"fp32": fp32, "int8": int8},
        files={
            "fp32": FileFacts("model_fp32.tflite", 2_000_000, "a" * 64),
            "int8": FileFacts("model_int8.tflite", 580_000, "b" * 64),
        },
        recipe=Recipe(gate=gate).to_dict(),
        history=HISTORY,
        verdict=judge(fp32["val"], int8["val"], gate),
        speed=Speed(
            {"fp32": ModelSpeed(500.0, 400.0, 2.0), "int8": ModelSpeed(750.0, 550.0, 1.33)},
            "2 threads of a test",
            ratio=1.5,
            ratio_interval=(1.4, 1.6),
            details={"pairs": 100},
        ),
        dataset=DatasetFacts(
            {"train": (70,) * len(labels), "val": (20,) * len(labels), "test": (10,) * len(labels)},
            (("cat/broken.jpg", "truncated"),),
        ),
        mistakes=(Mistake("cat/1.jpg", labels[0], labels[1], 0.87, np.full((200, 100, 3), 90, np.uint8), labels[0]),),
        versions={"tensorflow": "2.19.1"},
        stages=(StageTime("split", 0.5), StageTime("finetune", 75.0)),
        started="2026-11-22 13:45",
        notes=("hard-swish quantizes badly.",),
        temperature=0.625,
        unknown={"int8": UnknownThreshold(certainty=0.31, kept=0.95, count=36)},
        robustness={
            kind: (Robustness("none", 0, "unchanged", 0.9, 20), Robustness("blur", 1, "σ 1%", share, 20))
            for kind, share in (("fp32", 0.7), ("int8", 0.654))
        },
    )
    return replace(content, **changes)


class Page(HTMLParser):
    """Reads a page as a browser does: its elements, attributes and text; complains about unclosed elements."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_json_reads_back_as_it_was(tmp_path: Path):
    content = made(wrong=(4, 5), gate=GateConfig(max_drop=5, min_agreement=50))
    json_path, html_path = write_report(tmp_path / "run", content)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["report.html", "report.json"]
    assert html_path == tmp_path / "run" / "report.html"
    values = json.loads(json_path.read_text(encoding="utf-8"))
    assert values["schema_version"] == 1
    for kind in ("fp32", "int8"):
        for split in ("val", "test"):
            assert Evaluation.from_dict(values["evaluations"][kind][split]) == content.evaluations[kind][split]
    assert tuple(Epoch(**epoch) for epoch in values["history"]) == content.history
    assert type(content.verdict).from_dict(values["verdict"]) == content.verdict
    assert FileFacts(**values["files"]["int8"]) == content.files["int8"]
    assert Recipe.from_dict(values["recipe"]).to_dict() == content.recipe
    summary = values["summary"]["test"]
    assert summary["int8"]["accuracy"] == 35 / 40
    assert (summary["drop"], summary["agreement"]) == (2.5, 97.5)
    assert (summary["only_fp32_right"], summary["only_int8_right"]) == (1, 0)
    assert summary["int8"]["top_k"] == 2
    assert 0 < summary["int8"]["calibration_error_interval"][0] <= summary["int8"]["calibration_error"] < 1
    assert (values["temperature"], values["unknown"]["int8"]["certainty"]) == (0.625, 0.31)
    assert values["robustness"]["int8"][1]["accuracy"] == 0.654
    assert values["speed"]["ratio"] == 1.5
    assert values["speed"]["details"] == {"pairs": 100}
    assert values["dataset"]["unreadable"] == [["cat/broken.jpg", "truncated"]]
    assert values["mistakes"] == [
        {"path": "cat/1.jpg", "label": "cat", "answer": "dog", "score": 0.87, "fp32_answer": "cat"}
    ]


def test_json_has_null_where_a_number_is_none(tmp_path: Path):
    history = (Epoch("head", 0, float("inf"), 0.5, float("nan"), 0.5, 1e-3, 1.0),)
    json_path, _ = write_report(tmp_path, made(history=history))
    text = json_path.read_text(encoding="utf-8")
    assert not re.search(r"\b(NaN|Infinity)\b", text)
    assert json.loads(text)["history"][0]["val_loss"] is None


@settings(deadline=None, max_examples=15)  # the first example pays for the imports
@given(st.lists(st.text(max_size=12), min_size=2, max_size=4, unique=True))
def test_json_keeps_any_label(labels):
    from trainer.reports.report import _json_text, report_to_dict

    content = made(tuple(labels), history=())
    values = json.loads(_json_text(report_to_dict(content)))
    assert values["labels"] == labels
    assert Evaluation.from_dict(values["evaluations"]["int8"]["test"]) == content.evaluations["int8"]["test"]


def test_a_path_that_is_no_utf_8_is_written_escaped(tmp_path: Path):
    path = os.fsdecode(b"caf\xe9/1.jpg")
    mistake = Mistake(path, "cat", "dog", 0.9, np.zeros((8, 8, 3), np.uint8))
    json_path, html_path = write_report(tmp_path, made(mistakes=(mistake,)))
    assert json.loads(json_path.read_text(encoding="utf-8"))["mistakes"][0]["path"] == path
    assert "\\udce9/1.jpg" in html_path.read_text(encoding="utf-8")


def test_a_second_report_replaces_the_first(tmp_path: Path):
    write_report(tmp_path, made())
    _, html_path = write_report(tmp_path, made(title="second"))
    assert "second" in html_path.read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFolderError, match="Cannot write the report into"):
        write_report(tmp_path / "file" / "run", made())


def test_page_tells_everything():
    page = Page(render_page(made(wrong=(4, 5), gate=GateConfig(max_drop=5, min_agreement=50))))
    for words in (
        "animals",
        "INT8 passes the accuracy gate: 87.5% (FP32 90.0%) on 40 test photos, at 29% of the size.",
        "Accuracy gate passed",
        "Gate decided on 40 validation photos: accuracy drop 2.5 points (limit 5), agreement 97.5% (minimum 50%).",
        "The test set was measured once, at the end, and influenced no decision.",
        "hard-swish quantizes badly.",
        "INT8 gets 1 wrong that FP32 gets right, and 0 right that FP32 gets wrong.",
        "FP32 with fp32 kernels; INT8 with int8 kernels",
        "2 threads of a test",
        "750 FPS",
        "550 FPS",
        "×1.50",
        "1.40–1.60",
        "566 KiB",
        "73.9–94.5",  # Wilson, 35 of 40
        "divided by a temperature of 0.625",
        "Certainty threshold 0.310",
        "on 20 of the test photos",
        "65.4%",
        "cat predicted as dog : 2 of 14",
        "cat → dog 87.0%",
        "FP32: correct",
        "cat/1.jpg",
        "fine-tune",
        "edge-runtime run model_int8.tflite --source 0",
        "--baseline model_fp32.tflite",
        "cat/broken.jpg : truncated",
        "learning_rate",
        "1 min 15 s",
        "2.19.1",
        "b" * 64,
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 5
    assert page.tags.count("img") == 1


def test_page_says_why_the_gate_stopped_the_model():
    content = made(wrong=(0, 8))
    page = Page(render_page(content))
    assert "Accuracy gate failed" in page.text
    assert "INT8 fails the accuracy gate: 80.0% (FP32 100.0%)" in page.text
    assert content.verdict is not None
    for reason in content.verdict.reasons:
        assert reason in page.text


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "</style><b>", '"><img src=x onerror=alert(1)>', "--><b>"]
)
def test_markup_in_a_label_stays_text(label):
    content = made((label, "dog"), title=label, notes=(label,), versions={label: label}, started=label)
    plain, page = Page(render_page(made(("cat", "dog")))), Page(render_page(content))
    assert page.tags == plain.tags
    assert label in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


@settings(deadline=None, max_examples=15)  # the first example pays for the imports
@given(label=st.text(min_size=1, max_size=30).filter(str.strip))
def test_any_label_leaves_the_page_well_formed(label):
    fewer = {"history": (), "mistakes": (), "robustness": {}, "wrong": (0, 2)}
    content, plain = made((label, label + "2"), **fewer), made(("cat", "dog"), **fewer)
    assert Page(render_page(content)).tags == Page(render_page(plain)).tags


def test_page_fetches_nothing_and_runs_nothing():
    html = render_page(made())
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    addresses = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset")]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_ids_are_unique_and_the_figures_have_names():
    page = Page(render_page(made()))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert sum(name == "aria-label" for _, name, _ in page.attributes) == 5
    assert all(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))


def test_figures_take_the_colours_of_the_page():
    html = render_page(made())
    for variable in ("--ink", "--muted", "--line", "--accent", "--right", "--wrong"):
        assert f"var({variable})" in html
        assert f"{variable}:" in html
    assert "#0102" not in html


def test_a_float_model_alone_has_its_page(tmp_path: Path):
    labels = ("cat", "dog")
    content = ReportContent(
        "animals",
        labels,
        {"fp32": {"holiday": evaluations(labels, wrong=4)["test"]}},
        {"fp32": FileFacts("mine.tflite", 900, "c" * 64)},
    )
    json_path, html_path = write_report(tmp_path, content)
    page = Page(html_path.read_text(encoding="utf-8"))
    assert "FP32 accuracy: 90.0% on 40 holiday photos." in page.text
    assert "900 bytes" in page.text
    assert "INT8" not in page.text
    assert "gate" not in page.text
    assert "Learning curves" not in page.text
    assert "influenced no decision" not in page.text
    assert json.loads(json_path.read_text(encoding="utf-8"))["verdict"] is None


def test_a_model_without_a_mistake_has_its_page():
    page = Page(render_page(made(wrong=(0, 0), mistakes=())))
    assert "All 40 photos were classified correctly." in page.text
    assert "Most confident mistakes" not in page.text


@pytest.mark.parametrize("count", [2, 40])
def test_any_number_of_classes_with_long_names_has_its_page(count):
    labels = tuple(f"class {i} " + "with a name that goes on and on " * 3 for i in range(count))
    page = Page(render_page(made(labels, wrong=(3, 3), history=HISTORY[:1])))
    assert all(label.strip() in page.text for label in labels)
    assert page.text.count("…") == 2 * count  # shortened on both axes of the matrix, whole in the tables


def test_of_very_many_classes_the_page_shows_the_weakest_and_no_matrix():
    labels = tuple(f"class-{i:03d}" for i in range(150))
    content = made(labels, wrong=(3, 3), history=())
    page = Page(render_page(content))
    assert "The lowest 100 of 150 classes; all are in report.json." in page.text
    assert "The confusion matrix is not shown for more than 100 classes." in page.text
    assert "Confusion matrix of" not in render_page(content)
    assert "class-000 predicted as class-001" in page.text
    assert report_to_dict(content)["evaluations"]["int8"]["test"]["confusion"] is None


def test_an_unmeasured_loss_breaks_no_curve():
    history = tuple(Epoch("head", e, float("nan"), 0.5, float("nan"), 0.5, 1e-3, 1.0) for e in range(3))
    assert Page(render_page(made(history=history))).tags.count("svg") == 5


def test_the_thumbnail_is_the_picture():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (255, 0, 0)  # left half red
    html = render_page(made(mistakes=(Mistake("cat/1.jpg", "cat", "dog", 0.9, image),)))
    (uri,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    back = cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(back, image)


def test_a_large_picture_is_made_small():
    html = render_page(made(mistakes=(Mistake("cat/1.jpg", "cat", "dog", 0.9, np.zeros((480, 640, 3), np.uint8)),)))
    (uri,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)


def test_worst_mistakes_are_the_surest_wrong_answers():
    labels = [0, 0, 1, 1]
    fp32 = evaluation_from_answers("f", "test", labels, [0, 1, 1, 0], [0.5] * 4, ("cat", "dog"), 1.0, "k")
    int8 = evaluation_from_answers("q", "test", labels, [1, 1, 1, 0], [0.6, 0.9, 0.99, 0.7], ("cat", "dog"), 1.0, "k")
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((4, 2, 2, 3), np.uint8)
    pixels = Pixels(images, np.array(labels), ("a.jpg", "b.jpg", "c.jpg", "d.jpg"))
    mistakes = worst_mistakes(pixels, int8, fp32, limit=2)
    assert [(m.path, m.label, m.answer, m.score, m.fp32_answer) for m in mistakes] == [
        ("b.jpg", "cat", "dog", 0.9, "dog"),
        ("d.jpg", "dog", "cat", 0.7, "cat"),
    ]
    assert (mistakes[0].thumbnail == 1).all()
    assert [m.fp32_answer for m in worst_mistakes(pixels, int8)] == [None, None, None]


def test_dataset_facts_count_by_class_and_split():
    photos = tuple(
        Photo(f"{i}.jpg", label, split, "")
        for i, (label, split) in enumerate([(0, "train"), (0, "train"), (1, "test")])
    )
    facts = DatasetFacts.of(Dataset(Path("x"), ("cat", "dog"), photos, (("z.jpg", "empty"),)))
    assert facts.counts == {"train": (2, 0), "val": (0, 0), "test": (0, 1)}
    assert facts.unreadable == (("z.jpg", "empty"),)


def test_content_that_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="Expected 3 classes"):
        made(labels := ("cat", "dog"), mistakes=()).__class__("t", (*labels, "emu"), made(labels).evaluations, {})
    with pytest.raises(ValueError, match="not of none"):
        ReportContent("t", ("cat", "dog"), {}, {})


def test_a_run_that_was_not_timed_shows_the_latency_of_its_evaluation():
    for speed in (None, Speed({}, "")):
        page = Page(render_page(made(speed=speed, started="2026-11-22T13:45:12+00:00")))
        assert "Latency during evaluation, median 2.00 ms 2.00 ms" in page.text
        assert "Speed:" not in page.text
        assert "Run started 2026-11-22 13:45." in page.text


def test_headline_without_a_verdict_or_files_promises_nothing():
    assert headline(made(verdict=None, files={})) == "INT8 accuracy: 90.0% (FP32 90.0%) on 40 test photos."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(1.0), "100.0%"),
        (percent(0.99999), "99.9%"),  # not all of it
        (percent(0.00001), "0.1%"),
        (size_text(1023), "1023 bytes"),
        (size_text(628_432), "614 KiB"),
        (size_text(3 * 1024 * 1024), "3.00 MiB"),
        (duration_text(59.94), "59.9 s"),
        (duration_text(59.96), "1 min 0 s"),
        (duration_text(3700), "1 h 1 min"),
        (number_text(0.1234), "0.123"),
        (number_text(1234.5), "1,234"),
        (number_text(float("nan")), "–"),
        (signed_points(-1.0), "−1 point"),
        (signed_points(0.25), "+0.25 points"),
        (signed_points(0.0), "±0 points"),
        (signed_points(-10.0), "−10 points"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected

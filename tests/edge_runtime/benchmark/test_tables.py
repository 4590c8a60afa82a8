"""A report reads the same as text, as Markdown, as CSV and as a picture."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from xml.etree import ElementTree

from edge_runtime.benchmark import BenchmarkReport, Speedup, format_csv, format_markdown, format_svg, format_text
from edge_runtime.benchmark.report import Failure


class TestFormats:
    def test_text_has_a_row_a_model_and_a_sentence_that_admits_slowness(self, report: BenchmarkReport) -> None:
        int8, fp32 = report.models
        slow = replace(int8, inference_speedup=Speedup(0.5, 0.4, 0.6), pipeline_speedup=Speedup(0.6, 0.55, 0.65))
        text = format_text(replace(report, models=(slow, fp32), invalid=()))
        lines = text.splitlines()
        assert lines[1].startswith(int8.name)
        assert lines[2].startswith(fp32.name)
        assert (
            f"{int8.name} (INT8) is slower than {fp32.name} (FP32): inference 0.50× as fast (95% interval 0.40–0.60), "
            "full pipeline 0.60× as fast (95% interval 0.55–0.65)."
        ) in lines
        assert "not measured here" in text
        assert "threads: 1" in text

    def test_markdown_tables_have_as_many_cells_in_each_row(self, report: BenchmarkReport) -> None:
        failed = replace(report, failures=(Failure("a|b.tflite", "a|b.tflite", "it is damaged"),))
        blocks = format_markdown(replace(failed, invalid=())).split("\n\n")
        tables = [block.splitlines() for block in blocks if block.startswith("|")]
        assert [len(table) for table in tables] == [5, 4, 4]
        for table in tables:
            assert len({row.replace("\\|", "").count("|") for row in table}) == 1
        assert any(line.startswith("- Machine: ") for line in blocks[-1].splitlines())

    def test_the_picture_has_bars_with_intervals_and_a_point_for_each_known_accuracy(
        self, report: BenchmarkReport
    ) -> None:
        int8, fp32 = report.models
        strange = replace(int8, name="<a & b>.tflite")
        svg = ElementTree.fromstring(format_svg(replace(report, models=(strange, replace(fp32, accuracy=None)))))
        tags = [element.tag.rpartition("}")[2] for element in svg.iter()]
        assert tags.count("rect") == 1 + 2 * 2  # the background, and two bars per model
        assert tags.count("circle") == 1
        texts = [element.text or "" for element in svg.iter() if element.text]
        assert any(text.startswith("1  <a & b>.tflite, INT8") for text in texts)
        width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
        for bar in (element for element in svg.iter() if element.tag.endswith("rect")):
            assert float(bar.get("x", 0)) + float(bar.get("width", 0)) <= width
            assert float(bar.get("y", 0)) + float(bar.get("height", 0)) <= height

    def test_the_picture_says_that_a_run_is_invalid(self, report: BenchmarkReport) -> None:
        assert "INVALID RUN" in format_svg(replace(report, invalid=("it ran on its battery",)))
        assert "INVALID" not in format_svg(replace(report, invalid=()))
        bare = tuple(replace(model, accuracy=None) for model in report.models)
        assert "circle" not in format_svg(replace(report, models=bare))

    def test_csv_has_a_line_for_each_model(self, report: BenchmarkReport) -> None:
        rows = [*csv.DictReader(io.StringIO(format_csv(report)))]
        assert [row["name"] for row in rows] == [model.name for model in report.models]
        assert float(rows[0]["inference_p50_ms"]) == report.models[0].inference.p50_ms
        assert rows[1]["inference_speedup_ratio"] == ""

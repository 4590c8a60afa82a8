"""The terminal's tables: columns that line up, and every model and ladder step in them."""

from __future__ import annotations

from dataclasses import replace

from tests.trainer.reports.test_compression_page import made
from trainer.reports.summary import format_extension, format_ladder, format_variants
from trainer.types import ExtendedClass, Extension


def squeezed(line: str) -> str:
    return " ".join(line.split())


def test_variants_are_a_table_of_accuracy_and_cost():
    lines = format_variants(made().variants).splitlines()
    assert squeezed(lines[0]) == "Model variants validation test file gzip M mult-adds ms speed"
    assert squeezed(lines[1]) == "Teacher, FP32 91.6% 90.6% 8691 KiB 8047 KiB 300.8 3.43 baseline"
    assert squeezed(lines[-1]) == "Sparse, INT8 (ships) 88.3% 87.3% 420 KiB 157 KiB 15.2 0.27 ×12.61"
    assert len({len(line) for line in lines}) == 1


def test_a_split_that_was_not_measured_has_no_column():
    variants = [replace(variant, accuracies={"val": 0.5}) for variant in made().variants]
    assert "test" not in format_variants(variants)
    some = [replace(variants[0], accuracies={"val": 0.5, "test": 0.25}), *variants[1:]]
    assert format_variants(some).count("25.0%") == 1


def test_the_ladder_has_a_row_for_each_step_and_marks_the_chosen_one():
    header, plain, qat = format_ladder(made().rungs).splitlines()
    assert header.startswith("Quantization ladder, validation")
    assert squeezed(plain) == "Plain quantization 86.1% -2.80 91.2% 14 failed"
    assert qat.endswith("passed, chosen")
    assert plain.index("86.1%") == qat.index("88.3%")


def test_an_extension_is_told_by_class_and_in_sentences():
    classes = (
        ExtendedClass("cat", added=0, count=20, before=18, after=17),
        ExtendedClass("dog", added=5, count=30, before=24, after=26),
        ExtendedClass("emu", added=40, count=8, before=None, after=7),
    )
    lines = format_extension(Extension("test", classes, learned=900)).splitlines()
    assert squeezed(lines[1]) == "cat 18 17 20"
    assert squeezed(lines[2]) == "dog 5 24 26 30"
    assert squeezed(lines[3]) == "emu 40 new 7 8"
    assert lines[-1] == (
        "Known classes: 43 of 50 test photos correct, 42 before (+2.0 points). "
        "Largest drop: cat, 17 of 20 correct, 18 before. New classes: emu 7 of 8 correct."
    )

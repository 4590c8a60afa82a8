"""Classes with few photos are named before training."""

from __future__ import annotations

from trainer.data.few_photos import few_photos


def test_classes_of_few_photos_are_named_the_smallest_first() -> None:
    assert few_photos({"cat": 50, "dog": 900}) == ""
    assert few_photos({"cat": 49, "dog": 900}) == "1 of 2 classes has fewer than 50 photos (cat 49)"
    many = {f"class {number}": 40 - number for number in range(8)}
    assert few_photos(many) == (
        "8 of 8 classes have fewer than 50 photos (class 7 33, class 6 34, class 5 35, class 4 36, class 3 37, …)"
    )

"""Recipes of tiny runs: with few stages, and with all but ``extend``."""

from __future__ import annotations

from trainer.config import Recipe

FEW_STAGES = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
        "finetune": {"epochs": 2, "learning_rate": 3e-3, "batch_size": 16},
        "quantize": {"samples": 24},
        "robustness": {"photos": 6},
        "keep": {"pictures": 16},
        "gate": {"max_drop": 100.0, "min_agreement": 0.0},
    }
)
ALL_STAGES = FEW_STAGES.updated(
    {
        "distill": {"teacher": "basic_cnn", "epochs": 2},
        "prune": {"keep_macs": 0.6, "epochs": 1},
        "sparsify": {"sparsity": 0.5, "epochs": 1},
        "cluster": {"clusters": 16, "epochs": 1},
    }
)

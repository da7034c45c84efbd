"""A clap-mini of few weights, and the recipe it is made by."""

from __future__ import annotations

from schemas.clap_mini_config import ClapMiniRecipe

# Windows of a second at 16 kHz: 51 frames of 16 bands, in an image of 32 x 32 that holds 64 frames.
TINY = ClapMiniRecipe.model_validate(
    {
        "front_end": {
            "sample_rate": 16_000,
            "n_fft": 640,
            "hop_length": 320,
            "n_mels": 16,
            "f_max": 8_000,
            "log": "db",
            "log_floor": 1e-10,
            "pad_mode": "reflect",
            "precision": "double",
            "window_s": 1.0,
        },
        "audio": {
            "image_size": 32,
            "patch_size": 4,
            "channels": 16,
            "depths": [1, 1],
            "heads": [2, 4],
            "attention_window": 4,
            "projection": 32,
            "clip_s": 1.0,
        },
        "text": {"vocabulary": 400, "hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "max_tokens": 64},
        "training": {
            "mixtures": 24,
            "mixture": {"event_s": [0.3, 0.8]},
            "validation": 10,
            "text_steps": 3,
            "loop": {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "bf16": False, "keep": "last"},
        },
    }
)

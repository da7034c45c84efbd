"""Save the state of a training, and copy weights, always on the CPU, whatever device the training uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

CHECKPOINT, CHECKPOINT_PARTIAL = "checkpoint.pt", "checkpoint.partial"


def copy_on_cpu(module: nn.Module) -> dict[str, Tensor]:
    """Copy a module's weights and buffers to the CPU, by name."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}


def on_cpu(saved: Any) -> Any:
    """Move the tensors in nested dicts and lists to the CPU."""
    if isinstance(saved, Tensor):
        return saved.cpu()
    if isinstance(saved, dict):
        return {name: on_cpu(value) for name, value in saved.items()}
    return [on_cpu(value) for value in saved] if isinstance(saved, list) else saved


def save_state(path: Path, payload: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(on_cpu(payload), partial)
    os.replace(partial, path)

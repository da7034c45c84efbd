"""Figures of a benchmark, each with its spread, and the machine that they were taken on; as a table and as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

_PACKAGES = ("lmac", "torch", "ray", "pyarrow", "numpy", "captum", "quantus")


@dataclass(frozen=True)
class Figure:
    """What was measured in each round: `values` in `unit`, or ratios of pairs taken in turns."""

    part: str
    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def row(self) -> str:
        """A row of Markdown: the median, and the spread in brackets."""
        shown = f"{statistics.median(self.values):.3g}"
        if len(self.values) > 1:
            shown += f" ({min(self.values):.3g} to {max(self.values):.3g})"
        return f"| {self.part} | {self.what} | {shown} | {self.unit} |"


def ratios(part: str, what: str, ours: Sequence[float], theirs: Sequence[float], unit: str = "times") -> Figure:
    """The ratio of each pair of rates."""
    return Figure(part, what, unit, tuple(a / b for a, b in zip(ours, theirs, strict=True)))


def machine() -> dict[str, object]:
    """What figures depend on besides the code."""
    cpus = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": cpus[0] if cpus else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(figures: Sequence[Figure]) -> str:
    """All figures as Markdown."""
    return "\n".join(["| part | what | median (spread) | unit |", "|---|---|---|---|", *(one.row for one in figures)])


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """The machine and all values of all figures."""
    path.write_text(json.dumps({"machine": machine(), "figures": [asdict(one) for one in figures]}, indent=1) + "\n")

"""An explainer with few and random weights, for benchmarks of what a run says of the sound and not of its classes."""

from __future__ import annotations

from pipeline.models.checkpoint import load_config, save_explainer
from schemas.run_config import ContentConfig
from tests.flow.make import TINY, explain_here
from tests.models.make import small_models


def explain_quickly(input_url: str, output_url: str, folder: str, labels: str, label_column: str) -> None:
    """A run over labelled recordings with the front end of `esc10`, in this process, without masks and audio."""
    config = TINY.model_copy(update={"name": "small", "front_end": load_config("esc10")[0].front_end})
    save_explainer(folder, config, *small_models(0, config), "# small\n")
    content = ContentConfig(explainer=folder, labels=labels, label_column=label_column)
    quick = {"listenables": (), "masks": "none", "audio_scores": "none"}
    explain_here(input_url, output_url, content.model_copy(update=quick))

"""Whether a mask depends on what the classifier learnt (Adebayo et al. 2018, arXiv 1810.03292), and is stable
where the sound does not change."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest, rankdata
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pipeline.attribution.relevance import ranking, soft_mask
from pipeline.evaluation.batch import WindowBatch, class_probabilities, classify_windows
from pipeline.evaluation.bootstrap import LEVEL, Bootstrap
from pipeline.evaluation.contaminate import at_snr
from pipeline.evaluation.methods import ComparedMethod, relevance_of
from pipeline.evaluation.sizes import first_bins, place_in_order
from pipeline.lmac.masking import apply_mask, mask_of, quantised
from pipeline.models.classifier import Classifier
from schemas.evaluation_config import SanityConfig

# Masks are compared as means over 4 x 4 bins: finer detail is texture of the STFT, not of the mask.
POOL = 4
TOP = 0.1

Row = dict[str, Any]


def layers_from_the_top(classifier: Classifier) -> list[str]:
    """Return names of a classifier's parts that hold weights, from the decision down; a list's blocks count singly.

    They are ordered as a window of silence passes them, as the order of construction may differ.
    """
    passed: dict[str, None] = {}

    def passing(name: str) -> Callable[..., None]:
        return lambda *_: passed.setdefault(_part(name))

    held = [(name, module) for name, module in classifier.named_modules() if list(module.parameters(recurse=False))]
    hooks = [module.register_forward_pre_hook(passing(name)) for name, module in held]
    try:
        config = classifier.front_end.config
        with torch.no_grad():
            classifier(torch.zeros(1, config.n_freq, config.n_frames, device=classifier.front_end.window.device))
    finally:
        for hook in hooks:
            hook.remove()
    # Parts that no window passes, such as weights for longer audio, are randomised last.
    rest = dict.fromkeys(_part(name) for name, _ in held if _part(name) not in passed)
    return [*reversed(passed), *rest]


def _part(name: str) -> str:
    """Cut a name after its first number: the block of a list that a module belongs to, or the module itself."""
    words = name.split(".")
    number = next((place for place, word in enumerate(words) if word.isdigit()), len(words) - 1)
    return ".".join(words[: number + 1])


def randomised(classifier: Classifier, seed: int) -> Iterator[tuple[str, Classifier]]:
    """Yield copies of a classifier with one more layer randomised each time, from the top, with that layer's name.

    Weights are drawn as at the start of a training, and running statistics of normalisation are reset. Weights of
    modules that do not define their initialisation are drawn from a normal distribution with standard deviation 0.02.
    """
    worse = copy.deepcopy(classifier)
    for layer in layers_from_the_top(classifier):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            for module in worse.get_submodule(layer).modules():
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
                else:
                    for weight in module.parameters(recurse=False):
                        weight.normal_(std=0.02)
        worse.eval().requires_grad_(False)
        yield layer, copy.deepcopy(worse)


@dataclass(frozen=True)
class _Original:
    """What changed sounds and classifiers are compared with: batches of windows, with their relevance by a method."""

    classifier: Classifier
    method: ComparedMethod
    explained: list[tuple[WindowBatch, Tensor]]


def sanity_rows(
    classifier: Classifier,
    method: ComparedMethod,
    waveforms: Iterator[tuple[Tensor, Tensor]],
    *,
    truth: np.ndarray,
    bootstrap: Bootstrap,
    config: SanityConfig,
    seed: int,
    on_case: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Return rows of the sanity table for one method, on windows that `waveforms` yields as numbers and waveforms.

    `truth` `[W, C]` marks the windows' true classes, none if unknown; `bootstrap` is over the recordings of these
    windows. The class explained is fixed to the decision of the original classifier on the unchanged sound.
    """
    batches = [classify_windows(classifier, waveform, indices) for indices, waveform in waveforms]
    original = _Original(classifier, method, [(one, method.relevance(one)) for one in batches])
    on_case()
    rows = _stability(original, bootstrap, config, seed, on_case)
    rows += _masked_out(original, truth)
    if method.build is not None:
        rows += _randomisation(original, bootstrap, seed, on_case)
    return rows


def cases(classifier: Classifier, method: ComparedMethod) -> int:
    """Return how often `sanity_rows` explains all windows."""
    return 5 + (len(layers_from_the_top(classifier)) if method.build is not None else 0)


def _randomisation(original: _Original, bootstrap: Bootstrap, seed: int, on_case: Callable[[], None]) -> list[Row]:
    classifier, method = original.classifier, original.method
    assert method.build is not None
    audible = classifier.front_end.audible
    how = method.masks[0]
    rows = []
    before = [_coarse(soft_mask(relevance, one.magnitude, how), audible) for one, relevance in original.explained]
    order_of = method.rankings[0]
    orders = [
        ranking(relevance, one.magnitude, order_of)[:, audible].cpu().numpy() for one, relevance in original.explained
    ]
    for order, (layer, worse) in enumerate(randomised(classifier, seed)):
        explain = relevance_of(method.build(worse))
        correlation, similarity, bin_by_bin = [], [], []
        for (one, _), unchanged, ranked in zip(original.explained, before, orders, strict=True):
            found = explain(one)
            mask = _coarse(soft_mask(found, one.magnitude, how), audible)
            again = ranking(found, one.magnitude, order_of)[:, audible].cpu().numpy()
            bin_by_bin += [rank_correlation(a, b) for a, b in zip(ranked, again, strict=True)]
            correlation += [rank_correlation(a, b) for a, b in zip(unchanged, mask, strict=True)]
            similarity += [_ssim(a, b) for a, b in zip(unchanged, mask, strict=True)]
        measures = {"rank_correlation": correlation, "ssim": similarity, "rank_correlation_of_bins": bin_by_bin}
        for measure, values in measures.items():
            rows.append(_row("randomisation", layer, measure, order, bootstrap, values))
        on_case()
    return rows


def _stability(
    original: _Original, bootstrap: Bootstrap, config: SanityConfig, seed: int, on_case: Callable[[], None]
) -> list[Row]:
    method, front_end = original.method, original.classifier.front_end.config
    frames = config.shift_frames
    # Frames that reach over the edge, which the shift moves, are left out at either end.
    edge = -(-front_end.n_fft // front_end.hop_length)

    def noise(one: WindowBatch) -> Tensor:
        # Seeded by the window's number, so that it is the same in any batch.
        drawn = [
            torch.randn(one.waveform.shape[1], generator=torch.Generator().manual_seed(seed * 1_000_003 + index))
            for index in one.indices.tolist()
        ]
        return at_snr(one.waveform, torch.stack(drawn).to(one.waveform.device), config.noise_db)

    def later(one: WindowBatch) -> Tensor:
        n = one.waveform.shape[1]
        return torch.nn.functional.pad(one.waveform, (min(frames * front_end.hop_length, n), 0))[:, :n]

    def louder(decibels: float) -> Callable[[WindowBatch], Tensor]:
        return lambda one: one.waveform * 10 ** (decibels / 20)

    changes: list[tuple[str, Callable[[WindowBatch], Tensor], int]] = [
        (f"white noise at {config.noise_db:g} dB", noise, 0),
        (f"later by {frames} frames", later, frames),
        (f"gain of +{config.gain_db:g} dB", louder(config.gain_db), 0),
        (f"gain of -{config.gain_db:g} dB", louder(-config.gain_db), 0),
    ]
    rows = []
    for order, (case, change, shift) in enumerate(changes):
        overlap: list[float] = []
        for one, relevance in original.explained:
            other = classify_windows(original.classifier, change(one), one.indices, one.target)
            first = ranking(relevance, one.magnitude, method.rankings[0])
            second = ranking(method.relevance(other), other.magnitude, method.rankings[0])
            if shift:
                last = relevance.shape[2] - edge
                first, second = first[:, :, edge : last - shift], second[:, :, edge + shift : last]
            overlap += top_overlap(first, second, seed)
        rows.append(_row("stability", case, "iou", order, bootstrap, overlap))
        on_case()
    return rows


def _masked_out(original: _Original, truth: np.ndarray) -> list[Row]:
    classifier, method = original.classifier, original.method
    kept, right = [], []
    for one, relevance in original.explained:
        levels = quantised(soft_mask(relevance, one.magnitude, method.masks[0]))
        rest = apply_mask(one.magnitude, 1 - mask_of(levels), method.domain)
        (said,) = class_probabilities(classifier, [rest])
        kept += (said.argmax(1) == one.target).tolist()
        right += one.target.tolist()
    known = truth.any(axis=1)
    rows = [_share("the rest keeps the class", 0, kept)]
    chance = {"value": 1 / classifier.n_classes, "low": 1 / classifier.n_classes, "high": 1 / classifier.n_classes}
    rows.append({"test": "masked_out", "case": "chance", "measure": "share", "order": 1, **chance, "n": len(kept)})
    if known.any():
        rows.append(_share("accuracy on the whole", 2, truth[np.arange(len(right)), right][known].tolist()))
    return rows


def top_overlap(first: Tensor, second: Tensor, seed: int) -> list[float]:
    """Compute the intersection over union of the top tenths of two orders of bins `[B, F, T]`, per window."""
    tops = []
    for values in (first, second):
        place = place_in_order(values.flatten(1), seed)
        tops.append(first_bins(place, torch.full((len(place),), round(TOP * place.shape[1]), device=place.device)))
    union = (tops[0] | tops[1]).sum(dim=1).clamp_min(1)
    return ((tops[0] & tops[1]).sum(dim=1) / union).tolist()


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's correlation of two maps; 0 if one of them is flat and so has no order."""
    ranks = [rankdata(one) for one in (first, second)]
    a, b = (one - one.mean() for one in ranks)
    length = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / length) if length > 0 else 0.0


def _coarse(mask: Tensor, audible: Tensor) -> np.ndarray:
    # Bins outside the classifier's mel bands are 0 in any mask, and would count as agreement.
    return avg_pool2d(mask[:, audible], POOL, ceil_mode=True).cpu().numpy()


def _ssim(first: np.ndarray, second: np.ndarray) -> float:
    window = min(7, *(size - 1 + size % 2 for size in first.shape))
    return float(structural_similarity(first, second, data_range=1.0, win_size=window))


def _row(test: str, case: str, measure: str, order: int, bootstrap: Bootstrap, values: list[float]) -> Row:
    found = bootstrap.interval(np.array(values))
    bounds = {"value": float(found.value[0]), "low": float(found.low[0]), "high": float(found.high[0])}
    return {"test": test, "case": case, "measure": measure, "order": order, **bounds, "n": found.n}


def _share(case: str, order: int, hits: list[bool]) -> Row:
    found = binomtest(sum(hits), len(hits)).proportion_ci(LEVEL, "wilson")
    bounds = {"value": sum(hits) / len(hits), "low": float(found.low), "high": float(found.high)}
    return {"test": "masked_out", "case": case, "measure": "share", "order": order, **bounds, "n": len(hits)}

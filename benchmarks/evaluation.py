"""All of docs/evaluation: the explainers that ship beside baselines; what was measured once is kept.

python -m benchmarks.evaluation data/esc10 runs
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path("docs/evaluation")
BASELINES = (
    "saliency,input_x_gradient,smoothgrad,integrated_gradients,deeplift,gradient_shap,guided_backprop,gradcam,"
    "guided_gradcam,occlusion,random,constant,energy"
)
# On mixtures, and beside refined masks, some of them: they take minutes each.
FEWER = "saliency,input_x_gradient,deeplift,random,constant,energy"
ON_MIXTURES = f"{FEWER},integrated_gradients,gradcam,guided_gradcam"


def lmac(*words: object) -> None:
    """Run a command of lmac, which must succeed."""
    subprocess.run([sys.executable, "-c", "from jobs.cli import main; main()", *map(str, words)], check=True)


def evaluate(name: str, out: Path, *words: object) -> None:
    """Evaluate into a folder, whose cached results are shared, and copy the report of it into the documentation."""
    lmac("evaluate", *words, "--batch-size", 4, "--out", out)
    shutil.rmtree(DOCS / name, ignore_errors=True)
    shutil.copytree(out / "plots", DOCS / name / "plots")
    shutil.copy(out / "report.md", DOCS / name / "report.md")


def main() -> None:
    """Train the reference, make the scenes, evaluate all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, help="folder of ESC-10; the scenes are made beside it")
    parser.add_argument("runs", type=Path, help="where the reference and cached results are kept")
    given = parser.parse_args()
    table, reference = given.esc10 / "meta" / "esc10.csv", given.runs / "esc10-reference"
    if not (reference / "config.json").exists():
        recipe = ("--classifier", "esc10", "--validation", "none", "--config", "docs/lmac-reference.yaml")
        lmac("train", "decoder", given.esc10, reference, *recipe, "--labels", table, "--select", "fold=1,2,3,4")
    scenes = given.esc10.parent / "scenes-test"
    if not scenes.exists():
        partial = scenes.with_name("scenes-test.partial")
        shutil.rmtree(partial, ignore_errors=True)
        lmac("data", "scenes", partial, "--count", 100, "--seed", 990)
        partial.rename(scenes)

    recordings = (given.esc10, "--explainer", "esc10", "--labels", table, "--select", "fold=5")
    beside = ("--against", f"reference={reference}")
    out = given.runs / "evaluation" / "esc10"
    evaluate("esc10", out, *recordings, *beside, "--contaminate", "none", "--methods", BASELINES)
    curves = ("--curves", "mixture", "--no-sanity")
    evaluate("esc10-mixtures", out, *recordings, *beside, "--contaminate", "mixture", "--methods", ON_MIXTURES, *curves)
    alone = ("--contaminate", "none", "--methods", FEWER, "--no-sanity")
    evaluate("esc10-refined", out, *recordings, *alone, "--refine", 10)
    baselines = f"{FEWER},gradcam,integrated_gradients"
    wide = ("--contaminate", "none", "--methods", baselines, "--no-sanity")
    evaluate("scenes", given.runs / "evaluation" / "scenes", scenes, "--explainer", "scenes", *wide)


if __name__ == "__main__":
    main()

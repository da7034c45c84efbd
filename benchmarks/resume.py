"""A run killed with SIGKILL half way and started again, against one that was left alone:

python -m benchmarks.resume data/esc10 --explainer esc10
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.comparing import counts, differing_tables, explain, explain_command


def kill_half_way(input_url: str, output: Path, options: list[str], parts: int) -> int:
    """Start a run and kill its driver once half of its parts are committed; returns how many were."""
    process = subprocess.Popen(explain_command(input_url, str(output), options), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        committed = len(list(output.glob("_commits/*/*.json")))
        if committed >= parts // 2:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return committed
        time.sleep(0.02)
    raise RuntimeError(f"the run ended before half of its {parts} parts were seen: nothing was killed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--explainer", default="esc10")
    arguments = parser.parse_args()
    options = ["--explainer", arguments.explainer, "--part-windows", "16"]
    with tempfile.TemporaryDirectory() as scratch:
        calm, killed = Path(scratch) / "calm", Path(scratch) / "killed"
        explain(arguments.input, str(calm), options)
        parts = len(list(calm.glob("_commits/*/*.json")))
        committed = kill_half_way(arguments.input, killed, options, parts)
        print(f"killed with {committed} of {parts} parts committed; started again:", flush=True)
        explain(arguments.input, str(killed), options)
        print("rows (about so many windows or recordings):", counts(str(killed)))
        print("rows that differ after sorting:", differing_tables(str(calm), str(killed)))


if __name__ == "__main__":
    main()

"""The report of a run with many windows: seconds, peak memory, files, and megabytes with and without sound.

Besides, what `lmac browse` takes for the same: seconds until its first page is there, and for what a clip shows and
plays, the median of twenty and the longest.

python -m benchmarks.report_size --windows 10000 100000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.audit.report.make import audited, few, many

CLASSES = 50
# In a process of its own, whose peak is not that of what writes the run.
REPORT = """
import sys, time
from pathlib import Path
from pipeline.audit.report.write import report
started = time.monotonic()
made = report(sys.argv[1], sys.argv[2])
seconds = time.monotonic() - started
status = Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(made.shown, made.heard, made.files, made.bytes, seconds, int(peak) / 1024)
"""
BROWSE = """
import http.client, json, sys, time
from urllib.parse import urlsplit
from pipeline.audit.report.browse import browse

started = time.monotonic()
with browse(sys.argv[1]) as served:
    ready = time.monotonic() - started
    parts = urlsplit(served.url)
    connection = http.client.HTTPConnection(parts.netloc)

    def ask(path):
        connection.request("GET", parts.path + path)
        return connection.getresponse().read()

    took = []
    rows = json.loads(ask("data/000.js")[len('lmac("000",'):-len(");\\n")])
    for one in [row["media"] for row in rows if "original" in row["media"]][:20]:
        started = time.monotonic()
        for path in (one["picture"], one["explanations"][0]["mask"], *one["explanations"][0]["sounds"].values()):
            ask(path)
        took.append(time.monotonic() - started)
print(ready, 1000 * sorted(took)[len(took) // 2], 1000 * max(took))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--heard", type=float, default=0.2, help="share of windows with listenables")
    parser.add_argument("--embedding", type=int, default=512)
    arguments = parser.parse_args()
    print(
        "   windows  s to write   shown  heard  files      MB  MB silent  s to report  peak MiB"
        "  s to browse  clip ms  longest",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        base = few(scratch)
        classes = [f"class {number:02d}" for number in range(CLASSES)]
        for windows in arguments.windows:
            run, out = str(scratch / f"run-{windows}"), scratch / f"report-{windows}"
            started = time.monotonic()
            many(base, run, windows, classes, heard=arguments.heard, embedding=arguments.embedding)
            audited(run, members=min(5000, windows // 10))
            written = time.monotonic() - started
            done = subprocess.run(
                [sys.executable, "-c", REPORT, run, out], stdout=subprocess.PIPE, text=True, check=True
            )
            shown, heard, files, size, seconds, peak = done.stdout.splitlines()[-1].split()
            silent = int(size) - sum(file.stat().st_size for file in (out / "sounds").iterdir())
            counts = f"{windows:10d} {written:11.1f} {shown:>7} {heard:>6} {files:>6}"
            sizes = f"{int(size) / 1e6:7.1f} {silent / 1e6:10.1f}"
            served = subprocess.run([sys.executable, "-c", BROWSE, run], stdout=subprocess.PIPE, text=True, check=True)
            ready, median, longest = map(float, served.stdout.split())
            browsed = f"{ready:12.1f} {median:8.0f} {longest:8.0f}"
            print(f"{counts} {sizes} {float(seconds):12.1f} {float(peak):9.0f} {browsed}", flush=True)


if __name__ == "__main__":
    main()

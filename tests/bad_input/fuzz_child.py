"""Does cases one after another, and names each on stdout before it is begun: `START STEP CASES SEED`."""

from __future__ import annotations

import resource
import sys
import tempfile
import traceback
from pathlib import Path

from tests.bad_input.cases import run_case

_MEMORY_BYTES = 4 << 30


def main() -> None:
    start, step, cases, seed = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(start, cases, step):
            print("begin", number, flush=True)
            try:
                print("end", number, run_case(seed, number, Path(scratch) / "case"), flush=True)
            except Exception:
                print("crash", number, repr(traceback.format_exc(limit=-3)), flush=True)


if __name__ == "__main__":
    main()

"""How each fault is done: for real, to processes of the trial's own and to the server that it reads and writes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.driver import STALL_S
from tests.faults.processes import called, kill, send
from tests.faults.schedule import Fault

if TYPE_CHECKING:
    from tests.faults.trial import Trial

_ACTOR, _DECODER, _WRITER = "ray::ExplainActor", "ray::decode_shard", "ray::write_part"
_STEP_S = 0.0015
_NOTICE_S = 5.0


def strike(trial: Trial, fault: Fault) -> bool:
    """Do what a fault says; returns False where there was nothing to do it to."""
    s3, nodes = trial.bench.s3, trial.bench.nodes
    if fault.kind == "s3-gone":
        s3.fail("gone", fault.seconds)
    elif fault.kind == "s3-hangs":
        s3.fail("hangs", fault.seconds)
    elif fault.kind == "s3-mute":
        s3.fail("mute", fault.seconds)
    elif fault.kind == "s3-busy":
        s3.fail("busy", fault.seconds or None, seed=trial.schedule.seed)
    elif fault.kind == "s3-cuts":
        s3.fail("cuts", fault.seconds or None, seed=trial.schedule.seed)
    elif fault.kind in ("actor-killed", "decoder-killed"):
        title = _ACTOR if fault.kind == "actor-killed" else _DECODER
        workers = trial.find(lambda: nodes.workers(title))
        return bool(workers) and kill(workers[:1]) == 1
    elif fault.kind == "writer-killed":
        return _kill_held_writer(trial) if trial.schedule.store == "s3" else _kill_stepped_writer(trial)
    elif fault.kind == "driver-killed-twice":
        trial.driver.kill()
        trial.expected_ends += 1
    elif fault.kind == "ctrl-c":
        return _interrupt(trial)
    elif fault.kind == "node-joins-late":
        trial.idle = nodes.add()
    else:
        return _take_node(trial, fault)
    return True


def _take_node(trial: Trial, fault: Fault) -> bool:
    nodes = trial.bench.nodes
    alone = fault.kind == "decoder-node-lost"
    node = trial.find(lambda: nodes.node_with(_DECODER, without=_ACTOR) if alone else nodes.node_with(_ACTOR))
    if node is None:
        return False
    if fault.kind == "node-drains":
        notice = fault.seconds + _NOTICE_S
        trial.later(notice, lambda: (nodes.lose(node), nodes.add()))
        return nodes.drain(node, notice)
    nodes.lose(node)
    trial.later(fault.seconds, nodes.add)
    return True


def _interrupt(trial: Trial) -> bool:
    trial.driver.interrupt()
    trial.expected_ends += 1
    try:
        # The parts in flight may wait for a server that is away.
        code = trial.driver.wait(STALL_S)
    except subprocess.TimeoutExpired:
        trial.driver.kill()
        trial.problems.append(f"Ctrl-C did not end the command in {STALL_S:.0f} s: {trial.last_line()}")
        return True
    if code != 130:
        trial.problems.append(f"Ctrl-C ended the command with {code}")
    return True


def _kill_held_writer(trial: Trial) -> bool:
    """Kill writers while the commit of one is on its way to S3."""
    s3 = trial.bench.s3
    hold = s3.hold("/_commits/")
    try:
        return bool(trial.find(hold.caught.is_set)) and kill(trial.bench.nodes.workers(_WRITER)) > 0
    finally:
        s3.release(hold)


def _kill_stepped_writer(trial: Trial) -> bool:
    """Let writers go on for a moment at a time, until a part has files and no commit; then kill them."""
    before, deadline = _uncommitted(trial.output), time.monotonic() + 20.0
    workers, looked = trial.bench.nodes.workers("ray::"), time.monotonic()
    while trial.driver.code is None and time.monotonic() < deadline:
        if time.monotonic() - looked > 0.5:
            workers, looked = trial.bench.nodes.workers("ray::"), time.monotonic()
        writers = [pid for pid in called(workers, _WRITER) if send(pid, signal.SIGSTOP)]
        if writers and _uncommitted(trial.output) - before:
            return kill(writers) > 0
        for pid in writers:
            send(pid, signal.SIGCONT)
        time.sleep(_STEP_S)
    return False


def _uncommitted(output: Path) -> set[str]:
    """Parts, as `<shard>-<number>`, that have a file in a table and no commit."""
    files = {path.name.rpartition("-")[0] for path in output.glob("*/*-*.parquet")}
    commits = {f"{path.parent.name}-{path.stem}" for path in output.glob("_commits/*/*.json")}
    return {stem for stem in files - commits if stem and not stem.endswith("empty")}

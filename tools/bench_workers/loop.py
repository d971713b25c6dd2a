"""The conversation with the driver: one JSON object a line in, one out; the process stays alive."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from workloads import WORKLOADS


def run_round(step, seconds: float) -> dict:
    """Call `step` for at least so long; return the clocks' seconds and the number of calls."""
    clocks = {
        "wall": time.perf_counter,
        "stamp": lambda: time.clock_gettime(time.CLOCK_MONOTONIC_RAW),
        "cpu": time.process_time,
    }
    start = {name: clock() for name, clock in clocks.items()}
    steps = 0
    while steps == 0 or time.perf_counter() - start["wall"] < seconds:
        step()
        steps += 1
    return {**{name: clock() - start[name] for name, clock in clocks.items()}, "steps": steps}


def serve(worker) -> None:
    """Answer prepare, check and round until the driver closes the pipe."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                workload = WORKLOADS[request["workload"]]
                folder = Path(request["folder"])
                answer = {"versions": worker.prepare(workload, request["variant"], folder)}
            elif request["do"] == "check":
                answer = {"values": [float(value) for value in worker.check()]}
            else:
                answer = run_round(worker.step, request["seconds"])
        except ImportError as error:
            answer = {"reason": f"not installed: {error}"}
        except Exception as error:  # whatever a peer does, the row says it and the others go on
            answer = {"reason": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)

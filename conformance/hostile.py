#!/usr/bin/env python3
"""Hostile and broken frames against a running broker: `hostile.py BOOTSTRAP [--case NAME] [--pid PID]`.

Every case sends what no honest client sends, says what the broker must answer, and then asks for
metadata on a fresh connection: a stranger's frame may cost the stranger its connection and nobody
anything. With --pid the broker's memory is measured too. Standard library only, so that it runs
where no client is installed. The expectations are what Apache Kafka answers, unless a case says so.
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from frames import cases_batches, cases_connections, cases_frames, cases_names
from frames.wire import Broken, Broker

CASES = {**cases_frames.CASES, **cases_batches.CASES, **cases_names.CASES, **cases_connections.CASES}


def title(case):
    return case.__doc__.strip().splitlines()[0].rstrip(".")


def run_case(case, bootstrap, pid):
    """None if the case holds, else what was wrong."""
    broker = Broker(bootstrap, pid)
    try:
        broker.expect_serving("before the case")
        case(broker)
        broker.expect_serving("after the case")
    except (Broken, OSError, EOFError) as problem:
        return str(problem) or type(problem).__name__
    return None


def main():
    parser = argparse.ArgumentParser(description="Hostile frames against a broker.")
    parser.add_argument("bootstrap", metavar="HOST:PORT")
    parser.add_argument("--case", choices=sorted(CASES), help="only this one")
    parser.add_argument("--pid", type=int, help="the broker's process, to measure its memory")
    options = parser.parse_args()
    failed = 0
    for name, case in CASES.items():
        if options.case in (None, name):
            problem = run_case(case, options.bootstrap, options.pid)
            failed += problem is not None
            print(f"{'FAIL' if problem else 'ok'}  hostile frames  {title(case)}" + (f"\n    {problem}" if problem else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Checks of conformance/hostile.py, one for each of its cases, each alone with the broker."""
import sys

import hostile

from .cache import ROOM
from .check import Check


def checks():
    for name, case in hostile.CASES.items():
        yield hostile_check(name, hostile.title(case), getattr(case, "apache_differs", None))


def hostile_check(name, title, apache_differs):
    def work(rig):
        pid = ["--pid", rig.broker.pid] if rig.broker.pid else []
        rig.call([sys.executable, "-B", ROOM / "hostile.py", rig.bootstrap.split(",")[0], "--case", name, *pid])

    known = ((0,), apache_differs) if apache_differs else None
    return Check("hostile frames", title, work, apache_differs=known, alone=True, needs_one_node="it talks to one node, which must lead what it writes to")

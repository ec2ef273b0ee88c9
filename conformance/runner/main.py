"""Command line of the runner: prepares the cache, finds a broker, runs every check, reports.

It never writes into the repository, and stops every process it started.
"""
import argparse
import os
import re
import signal
import sys
import tempfile
import time

from . import checks
from .broker import BrokerFailed, apache_broker, foreign_broker, kalda_broker
from .cache import Cache, Unprepared
from .cluster import kalda_cluster
from .report import Report


def arguments():
    parser = argparse.ArgumentParser(prog="conformance/run", description="Foreign clients against a broker.")
    broker = parser.add_mutually_exclusive_group(required=True)
    broker.add_argument("--kalda", metavar="BINARY", help="start this Kalda binary on a free port")
    broker.add_argument("--bootstrap", metavar="HOST:PORT", help="use a broker that already runs")
    broker.add_argument("--apache", action="store_true", help="start Apache Kafka as the reference")
    parser.add_argument("--apache-version", metavar="VERSION", default=checks.KAFKA_TOOLS, help="which one (default %(default)s)")
    parser.add_argument("--nodes", metavar="N", type=int, default=1, help="so many nodes of Kalda, and as many replicas of each topic (default %(default)s)")
    parser.add_argument("--kill", action="store_true", help="one of the nodes is killed and comes back, again and again")
    parser.add_argument("--only", metavar="REGEX", default="", help="only checks whose line matches")
    parser.add_argument("--jobs", metavar="N", type=int, default=4, help="checks under way at once (default %(default)s)")
    parser.add_argument("--list", action="store_true", help="name the checks without running them")
    options = parser.parse_args()
    if options.nodes > 1 and not options.kalda or options.kill and options.nodes < 3:
        parser.error("--nodes is for --kalda, and --kill for three nodes or more")
    return options


def broker_for(options, cache, directory):
    if options.bootstrap:
        return foreign_broker(options.bootstrap)
    if options.nodes > 1:
        # For the clients, which make the topics.
        os.environ["CONFORMANCE_REPLICAS"] = str(min(options.nodes, 3))
        return kalda_cluster(options.kalda, directory, options.nodes, options.kill)
    if options.kalda:
        return kalda_broker(options.kalda, directory)
    return apache_broker(cache.kafka_jars(options.apache_version), options.apache_version, directory)


def main():
    options = arguments()
    # A terminated run unwinds as an interrupted one does, so that the broker is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    selected = [check for check in checks.all_checks() if re.search(options.only, check.line())]
    if options.list:
        print("\n".join(check.line() for check in selected))
        return 0
    started = time.monotonic()
    cache = Cache(os.environ.get("KALDA_CONFORMANCE_CACHE") or os.path.expanduser("~/.cache/kalda-conformance"))
    report = Report(started)
    with tempfile.TemporaryDirectory(prefix="kalda-conformance-") as directory:
        try:
            with broker_for(options, cache, directory) as broker:
                report.run(selected, cache, broker, directory, options.jobs)
        except (BrokerFailed, Unprepared) as problem:
            report.fail("broker", str(problem))
        except KeyboardInterrupt:
            report.fail("run", "interrupted")
    if not selected:
        report.fail("run", f"no check matches {options.only!r}")
    report.summarise()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())

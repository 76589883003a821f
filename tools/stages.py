"""Runs every stage that CI runs, one after another, and counts the tests.

    python tools/stages.py [STAGE ...]

Stages: lint sanity unit integration molecule e2e; all of them without an argument. Each runs in a process group of its own,
so that an interrupt or a failure ends whatever the stage has started. The last line counts what passed and what failed.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

TOP = pathlib.Path(__file__).resolve().parent.parent
RESULTS = TOP / ".cache" / "results"
STAGES = ("lint", "sanity", "unit", "integration", "molecule", "e2e")
NEEDS_ROOT = ("molecule", "e2e")  # real machines: namespaces, mounts and loop devices
JUNIT = ("unit", "integration", "e2e")


def run(stage):
    """Run one stage to its end. Returns its exit status."""
    # The ARGS of `make test` name stages, and make would hand them on to each of them.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS")}
    report = "--junitxml=%s" % (RESULTS / (stage + ".xml")) if stage in JUNIT else ""
    process = subprocess.Popen(
        ["make", "--no-print-directory", stage, "ARGS=" + report], cwd=TOP, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:
        # First the polite way, so that machines are taken down by those who brought them up.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            pass
        raise
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def counted(stage, status):
    """Passed, failed and skipped of a stage; a stage without a test report counts as one."""
    report = RESULTS / (stage + ".xml")
    if stage not in JUNIT:
        return (0, 1, 0) if status else (1, 0, 0)
    if not report.exists():
        return 0, 1, 0
    passed = failed = skipped = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skips = int(suite.get("skipped", 0))
        failed, skipped = failed + bad, skipped + skips
        passed += int(suite.get("tests", 0)) - bad - skips
    return passed, failed or (1 if status else 0), skipped


def main(stages):
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        sys.exit("no stage %s; there are: %s" % (", ".join(unknown), " ".join(STAGES)))
    if os.geteuid() and set(stages) & set(NEEDS_ROOT):
        need = " and ".join(stage for stage in stages if stage in NEEDS_ROOT)
        rest = " ".join(stage for stage in STAGES if stage not in NEEDS_ROOT)
        sys.exit("The real machines of %s need root: `sudo make test`. As yourself: `make test ARGS='%s'`." % (need, rest))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob("*.xml"):
        old.unlink()
    total, lines = [0, 0, 0], []
    for stage in stages:
        print("== %s" % stage, flush=True)
        started = time.monotonic()
        status = run(stage)
        count = counted(stage, status)
        total = [a + b for a, b in zip(total, count)]
        lines.append("%-12s %-6s %5.0f s  %d passed, %d failed, %d skipped" % (stage, "FAILED" if status else "ok", time.monotonic() - started, *count))
        print("== " + lines[-1], flush=True)
    print("\n" + "\n".join(lines))
    print("%d passed, %d failed, %d skipped" % tuple(total), flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(STAGES)))

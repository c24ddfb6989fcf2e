#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the command `faas` as a person would: match, explain, replay, and what they refuse."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

COMMAND = os.path.join(os.environ["FAAS_BINARY_DIR"], "bin", "faas")
PATTERN = {"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}}
EVENTS = [
    {"type": "order.created", "data": {"total": 129.5}},
    {"type": "order.created", "data": {"total": 20}},
    {"type": "order.paid", "data": {"total": 500}},
]


def run(*args, stdin=""):
    done = subprocess.run([COMMAND, *args], input=stdin, capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def check(what, got, wanted):
    if got == wanted:
        return 0
    print(f"{what}: {got!r}, not {wanted!r}")
    return 1


def many_lines(pattern):
    """Lines beyond every buffer, of all kinds, through a pipe."""
    hit = json.dumps(EVENTS[0])
    long = json.dumps({**EVENTS[0], "more": "x" * 600000})
    lines = [hit, "{}", "", "{\"type\":", hit + "\r", long] * 200
    code, out, err = run("match", "--pattern", pattern, "--events", "-",
                         stdin="\n".join(lines) + "\n" + hit)
    expected = [hit, hit, long] * 200 + [hit]
    told = err.splitlines()
    wrong = check("many lines", (code, out.splitlines() == expected, len(told)),
                  (2, True, 400))
    wrong += check("the numbers of wrong lines",
                   [line.split(":")[1] for line in told[-2:]], ["1197", "1198"])
    return wrong


LOG_HEAD = "time_ms,function,duration_ms,memory_mb,init_ms\n"
BAD_LOGS = {
    "empty": ("", "the file is empty"),
    "no calls": (LOG_HEAD, "there are no calls"),
    "no column": ("time_ms,function,duration_ms,memory_mb\n1,a,1,1\n", "no column init_ms"),
    "negative": (LOG_HEAD + "-5,a,1,1,1\n", ":2: time_ms: -5 is out of range"),
    "no number": (LOG_HEAD + "1,a,1,1,1\n2,a,x,1,1\n", ':3: duration_ms: "x" is no number'),
}


def rows_of(text):
    """The lines of tab-separated values, as dictionaries."""
    lines = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def check_replay(folder):
    """Replays a log, as the example records it where that was built."""
    log = os.path.join(folder, "log.csv")
    recorder = os.path.join(os.environ["FAAS_BINARY_DIR"], "examples", "record")
    calls, colds = 3, 2
    if os.path.exists(recorder):
        subprocess.run([recorder, log], capture_output=True, timeout=60, check=True)
        with open(log, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(",") for line in file][1:]
        calls, colds = len(lines), sum(line[4] != "" for line in lines)
    else:
        with open(log, "w", encoding="utf-8") as file:
            file.write(LOG_HEAD + "1,a,1,64,5000\n2,b,1,64,5000\n3,a,1,64,\n")
    code, out, err = run("replay", "--budget", "1,2", "--bounds", "--tsv", "-", log)
    rows = rows_of(out)
    wrong = check("a replay works", (code, err, len(rows)), (0, "", 16))
    for row in rows:
        wrong += check(f"{row['policy']} sees every call", row["calls"], str(calls))
    # It was recorded with room for all, and instances that idle for 600 s were closed.
    wrong += check("ttl does what was recorded", [row["cold"] for row in rows
                                                  if row["policy"] == "ttl"], [str(colds)] * 2)
    code, out, _ = run("replay", "--budget", "1", "--policy", "lru,ttl", log)
    wrong += check("a table has a line per policy", (code, len(out.splitlines())), (0, 3))

    for what, args, words in (
            ("an unknown policy", ("--budget", "1", "--policy", "lru,best", log), "best"),
            ("no budget", (log,), "--budget must be given"),
            ("a budget that is none", ("--budget", "1,none", log), "none"),
            ("a negative budget", ("--budget", "-1", log), "-1"),
            ("an unknown option", ("--budget", "1", "--fast", "1", log), "--fast"),
            ("an option without a value", (log, "--budget"), "--budget")):
        code, out, err = run("replay", *args)
        wrong += check(what, (code, out, words in err), (2, "", True))
    code, _, err = run("replay", "--budget", "0.00001", log)
    wrong += check("a budget smaller than an instance",
                   (code, "do not hold the largest instance" in err), (1, True))
    code, _, err = run("replay", "--budget", "1", os.path.join(folder, "none"))
    wrong += check("no trace", (code, "No such file" in err), (1, True))
    for what, (text, words) in BAD_LOGS.items():
        path = os.path.join(folder, "bad.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        code, out, err = run("replay", "--budget", "1", path)
        wrong += check(f"a bad log: {what}: {err}", (code, out, words in err), (1, "", True))
    return wrong


def check_overload():
    """Runs two limiters once: the figures themselves are for the unit tests."""
    code, out, err = run("replay", "--overload", "--seeds", "1", "--limiter",
                         "none,predicted 15", "--tsv", "-")
    cells = {(row["limiter"], row["load"]): float(row["goodput"]) for row in rows_of(out)}
    wrong = check("an overload works", (code, err, len(cells)), (0, "", 18))
    wrong += check("without a limit nothing is in time at 2x", cells["none", "2x"] < 1, True)
    wrong += check("with one nearly all is", cells["predicted 15 ms", "2x"] > 1900, True)
    code, out, err = run("replay", "--overload", "--limiter", "none", "--seeds", "1")
    wrong += check("an overload's table", (code, len(out.splitlines())), (0, 2))
    for what, args in (("an unknown limiter", ("--limiter", "best")),
                       ("no seeds", ("--seeds", "0")), ("too many seeds", ("--seeds", "100")),
                       ("an unknown option", ("--budget", "1")),
                       ("an option without a value", ("--seeds",))):
        code, out, err = run("replay", "--overload", *args)
        wrong += check(what, (code, out, bool(err)), (2, "", True))
    return wrong


def check_plot(folder):
    """Draws what a replay printed, where gnuplot is there."""
    script = os.path.join(os.environ["FAAS_SOURCE_DIR"], "scripts", "plot")
    figures, plot = (os.path.join(folder, name) for name in ("figures.tsv", "plot.svg"))
    code, out, _ = run("replay", "--budget", "0.5,1,2", "--bounds", "--tsv", "-",
                       os.path.join(folder, "log.csv"))
    with open(figures, "w", encoding="utf-8") as file:
        file.write(out)
    if shutil.which("gnuplot") is None:
        return 0
    done = subprocess.run(["sh", script, figures, plot, "A day"], capture_output=True,
                          text=True, timeout=60, check=False)
    wrong = check(f"a plot: {done.stderr}", (code, done.returncode), (0, 0))
    with open(plot, encoding="utf-8") as file:
        drawing = file.read()
    for word in ("A day", "idx", "sieve", "clairvoyant", "lower bound"):
        wrong += check(f"the plot says {word}", f">{word}<" in drawing, True)
    return wrong


def main():
    if not os.path.exists(COMMAND):
        print("skipped: the command was not built; it needs zlib")
        return 77
    wrong = 0
    pairs = [{"pattern": json.dumps(PATTERN), "event": json.dumps(e)} for e in EVENTS]
    pairs.append({"pattern": '{"type": []}', "event": "{}"})
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    code, out, _ = run("match", stdin=lines)
    answers = out.splitlines()
    wrong += check("match answers", answers[:3], ["true", "false", "false"])
    wrong += check("a bad pattern is an error", answers[3].startswith("error: "), True)

    with tempfile.TemporaryDirectory() as folder:
        pattern = os.path.join(folder, "pattern.json")
        events = os.path.join(folder, "events.jsonl")
        with open(pattern, "w", encoding="utf-8") as file:
            json.dump(PATTERN, file)
        with open(events, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in EVENTS)
        code, out, _ = run("match", "--pattern", pattern, "--events", events)
        wrong += check("match prints what matches",
                       (code, [json.loads(line) for line in out.splitlines()]),
                       (0, EVENTS[:1]))
        code, out, _ = run("match", "--pattern", pattern, "--events", events, "--count")
        wrong += check("match --count", (code, out.strip()), (0, "1"))
        wrong += many_lines(pattern)
        code, out, _ = run("explain", "--pattern", pattern, "--events", events)
        said = out.splitlines()
        wrong += check("explain says a line per event", len(said), 3)
        wrong += check("explain names the field", "data.total" in said[1], True)
        code, _, err = run("match", "--pattern", os.path.join(folder, "none"),
                           "--events", events)
        wrong += check("a file that is not there", (code, bool(err)), (2, True))
        wrong += check_replay(folder)
        wrong += check_plot(folder)
    wrong += check_overload()
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

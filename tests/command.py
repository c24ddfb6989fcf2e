#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the command `faas` as a person would: match, explain, and what it refuses."""

import json
import os
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
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

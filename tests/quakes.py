#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What examples/quakes.c says of the week is what the file says.

Everything is computed here a second time, from the file alone: counts, energy, the
strongest, the regions, the waves. So are the cold starts: a function starts cold when
nothing came for its idle time. That they agree shows that the runtime's clock follows the
events. The program is FAAS_BINARY_DIR/examples/quakes, or that of the dev preset.
"""

import json
import math
import os
import subprocess
import sys
import tempfile

# The idle time of each function in seconds, as examples/quakes.c sets it or by default.
IDLE_S = {"region": 600, "energy": 1500, "pow": 1800, "alert": 1800, "tsunami": 1200,
          "anchorage": 3600, "pager": 7200}
# A gap this near to the idle time may end either way, because handlers take real time: those
# of the first event shorten it, those of an event just before the second one lengthen it.
UNSURE_S = (-0.5, 2)
STATES = {"CA": "California", "NV": "Nevada", "MX": "Mexico"}
EARTH_KM, STATION = 6371, (61.2181, -149.9003)


def region_of(feature):
    name = (feature["properties"]["place"] or "").rsplit(",", 1)[-1].lstrip(" ")
    return STATES.get(name, name)


def cold_starts(features, idle_s):
    """Counts the gaps longer than the idle time, and the first call; or says it is unsure."""
    times = [feature["properties"]["time"] / 1000 for feature in features]
    gaps = [after - before for before, after in zip(times, times[1:])]
    unsure = [gap for gap in gaps if UNSURE_S[0] < gap - idle_s < UNSURE_S[1]]
    if unsure:
        raise ValueError(f"gaps of {unsure} s are too near to the idle time of {idle_s} s")
    return 1 + sum(gap > idle_s for gap in gaps) if times else 0


def wave_s(feature):
    """Seconds of a P wave to the station in a straight line; None if it comes from afar."""
    longitude, latitude, depth = feature["geometry"]["coordinates"]
    here, there = math.radians(STATION[0]), math.radians(latitude)
    sines = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) \
        * math.sin(math.radians(longitude - STATION[1]) / 2) ** 2
    distance, depth = 2 * EARTH_KM * math.asin(math.sqrt(sines)), max(depth, 0)
    if distance >= 2000 or depth >= 256:
        return None
    distance, depth = math.floor(distance), math.floor(depth)
    source = complex(EARTH_KM - depth, 0)
    path = EARTH_KM * complex(math.cos(distance / EARTH_KM),
                              math.sin(distance / EARTH_KM)) - source
    depths = [EARTH_KM - abs(source + path * (step + 0.5) / 8) for step in range(8)]
    speeds = [5.8 if d < 20 else 6.5 if d < 35 else 8.04 + 0.0011 * (d - 35) for d in depths]
    return abs(path) * sum(1 / speed for speed in speeds) / 8


def expected_totals(features):
    """Returns what the program should say, from the features in the order of their times."""
    quakes = [f for f in features if f["properties"]["type"] == "earthquake"]
    alerts = [f for f in quakes if f["properties"]["mag"] >= 4.5]
    alaskan = [f for f in features if (f["properties"]["place"] or "").endswith("Alaska")]
    flagged = [f for f in quakes if f["properties"]["tsunami"] == 1]
    paged = [f for f in alerts
             if f["properties"]["felt"] is not None or f["properties"]["mag"] >= 5.5]
    waves = [seconds for seconds in map(wave_s, alaskan) if seconds is not None]
    chiefs = sum(f["properties"]["mag"] >= 6 for f in paged)
    called = {"region": quakes, "energy": quakes, "pow": quakes, "tsunami": flagged,
              "alert": [f for f in quakes if f["properties"]["mag"] >= 4],
              "anchorage": alaskan, "pager": paged}
    regions = {}
    for quake in quakes:
        count, strongest = regions.get(region_of(quake), (0, -math.inf))
        regions[region_of(quake)] = (count + 1, max(strongest, quake["properties"]["mag"]))
    return {
        "events": len(features),
        "alerts": len(alerts),
        "tsunamis": len(flagged),
        "energy_j": math.fsum(10 ** (1.5 * f["properties"]["mag"] + 4.8) for f in quakes),
        "waves": len(waves),
        "wave_s_min": min(waves),
        "pages": len(paged) + chiefs,
        "pages_late": chiefs,
        "strongest": [[f["id"], f["properties"]["time"], f["properties"]["mag"],
                       f["properties"]["place"]]
                      for f in sorted(quakes, key=lambda f: -f["properties"]["mag"])[:5]],
        "regions": {name: list(region) for name, region in regions.items()},
        "functions": {name: {
            "invocations": len(calls) + (chiefs if name == "pager" else 0),
            "errors": 0,
            "throttles": chiefs if name == "pager" else 0,
            "cold_starts": cold_starts(calls, IDLE_S[name]),
            "idle_s": IDLE_S[name]} for name, calls in called.items()},
    }


def differences(expected, told, where=""):
    """Yields a line for each value that is not as expected; floats may differ by 1e-9, the
    table of waves, which holds floats of 32 bits, by 1e-6."""
    if isinstance(expected, dict):
        if expected.keys() != told.keys():
            yield f"{where or 'totals'}: has {sorted(told)}, expected {sorted(expected)}"
        for key in expected.keys() & told.keys():
            yield from differences(expected[key], told[key], f"{where}{key}.")
    elif isinstance(expected, float):
        tolerance = 1e-6 if where == "wave_s_min." else 1e-9
        if not math.isclose(expected, told, rel_tol=tolerance):
            yield f"{where[:-1]}: told {told!r}, expected {expected!r}"
    elif expected != told:
        yield f"{where[:-1]}: told {told!r}, expected {expected!r}"


def refusals(program, text):
    """Yields a line for each file that is not there or not right, and is not refused well."""
    with tempfile.TemporaryDirectory() as folder:
        cases = {"missing.json": None, "empty.json": "", "list.json": "[1,2]",
                 "none.json": '{"features":[]}', "cut.json": text[:len(text) // 2],
                 "deep.json": '{"a":' + "[" * 100000, "more.json": text + "}",
                 "untimed.json": text.replace('"time":', '"tame":', 1)}
        for name, content in cases.items():
            path = os.path.join(folder, name)
            if content is not None:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(content)
            ran = subprocess.run([program, path], capture_output=True, text=True, check=False)
            if ran.returncode != 1 or path not in ran.stderr or ran.stdout:
                yield f"{name}: status {ran.returncode}, said {ran.stderr!r}"


def main():
    source = os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0])
    binaries = os.environ.get("FAAS_BINARY_DIR") or os.path.join(source, "build/dev")
    data = os.environ.get("FAAS_DATA_DIR") or os.path.join(source, "build/data")
    program = os.path.join(binaries, "examples/quakes")
    path = os.path.join(data, "earthquakes.json")
    for needed, how in ((program, "FAAS_EXAMPLES=ON builds"), (path, "scripts/demo fetches")):
        if not os.path.exists(needed):
            print(f"skipped: no {needed}, which {how}")
            return 77

    with open(path, encoding="utf-8") as file:
        text = file.read()
    expected = expected_totals(sorted(json.loads(text)["features"],
                                      key=lambda f: f["properties"]["time"]))
    ran = subprocess.run([program, path, "--totals"], capture_output=True, text=True,
                         check=False)
    if ran.returncode != 0:
        print(f"{program}: status {ran.returncode}\n{ran.stderr}")
        return 1
    told = json.loads(ran.stdout)
    for function in told["functions"].values():
        # Whoever is interrupted is billed for more than the least, which is 1 ms per call.
        billed = function.pop("billed_gb_s")
        if billed < function["invocations"] * 0.001 * 128 / 1024 * (1 - 1e-9):
            function["billed_gb_s"] = f"{billed} is too little"
    wrong = list(differences(expected, told)) + list(refusals(program, text))
    for line in wrong:
        print(line)
    starts = {name: f["cold_starts"] for name, f in expected["functions"].items()}
    print(f"{expected['events']} events, cold starts {starts}: {len(wrong)} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""A week of real earthquakes, each published as an event at its own time.

    quakes.py FILE     # GeoJSON of the USGS; scripts/demo fetches one week of 2018

The clock is virtual: six days of idle instances and cold starts take a moment.
"""

import json
import sys
from collections import Counter

import faas
from faas.testing import Client

app = faas.App("usgs")
strongest: list[tuple[float, str]] = []
regions: Counter[str] = Counter()


@app.on("quake.*", idle_ns=600 * 10**9)
def region(event: faas.Event) -> None:
    """Counts what happened where. Its instance's state is written down when it is closed."""
    place = event.json()["properties"]["place"]
    faas.context().state[place.rsplit(", ", 1)[-1]] += 1


@region.init
def begin() -> Counter[str]:
    return Counter()


@region.close
def end(seen: Counter[str]) -> None:
    regions.update(seen)


@app.on({"data": {"properties": {"mag": [{"numeric": [">=", 5]}]}}})
def strong(event: faas.Event) -> None:
    properties = event.json()["properties"]
    strongest.append((properties["mag"], properties["place"]))


@app.on({"data": {"properties": {"tsunami": [1]}}})
def tsunami(event: faas.Event) -> None:
    print("tsunami bulletin:", event.json()["properties"]["place"])


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        features = json.load(file)["features"]
    features.sort(key=lambda feature: feature["properties"]["time"])
    begun = features[0]["properties"]["time"]
    with Client(app) as client:
        for feature in features:
            client.advance((feature["properties"]["time"] - begun) / 1000 - client.now)
            kind = "blast" if feature["properties"]["type"] != "earthquake" else "quake.any"
            client.app.emit(kind, feature, subject=feature["id"])
        stats = app.stats()["functions"]
    for name in ("region", "strong", "tsunami"):
        f = stats[name]
        print(f"{name:10} {f['invocations']:6} invocations {f['cold_starts']:5} cold starts")
    print("The strongest:", *(f"M {mag} {place}" for mag, place in sorted(strongest)[-3:]), sep="\n  ")
    print("Where most:", *(f"{count} {place}" for place, count in regions.most_common(3)), sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1])

# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# packages.sh FOLDER - uses what is installed, for scripts/packages: the library from C, the
# command, and the package for Python. FOLDER has greet.c, and takes what this writes.

cd "$1" || exit 1
# Words of pkg-config are options.
# shellcheck disable=SC2046
cc greet.c $(pkg-config --cflags --libs faas) -o greet
test "$(./greet)" = "hello, world"
for module in model onnx; do
    pkg-config --exists "faas-$module"
done

echo '{"type": ["order.paid"]}' >paid.json
printf '%s\n' '{"type": "order.created"}' '{"type": "order.paid"}' >orders.jsonl
test "$(faas match --pattern paid.json --events orders.jsonl --count)" = 1

cat >greet.py <<'END'
import importlib.metadata

import faas

app = faas.App()


@app.function
def greet(name: str) -> str:
    return f"hello, {name}"


seen = []


@app.on({"type": ["order.paid"]})
def paid(event: faas.Event) -> None:
    seen.append(event.json())


app.emit("order.paid", {"total": 7})
assert seen == [{"total": 7}], seen
assert importlib.metadata.version("faas") == "0.1.0"
assert importlib.metadata.entry_points(group="pytest11", name="faas")
print(greet.invoke("world"))
END
test "$(/usr/bin/python3 greet.py)" = "hello, world"

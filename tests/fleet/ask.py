"""Ask a lease endpoint, as a stranger would: ask.py URL CA-FILE TOKEN-FILE PATH [SECONDS]

Prints the answer, one line of JSON. With SECONDS it asks again and again, that many seconds apart, and prefixes the
time of the question; what cannot be read is a line {"error": ...}, never a line left out.
"""

from __future__ import annotations

import json
import pathlib
import ssl
import sys
import time
import urllib.request


def main(url: str, ca_file: str, token_file: str, path: str, every: str = "") -> None:
    """Ask once, or for ever."""
    context = ssl.create_default_context(cafile=ca_file)
    headers = {"Authorization": "Bearer " + pathlib.Path(token_file).read_text(encoding="utf-8").strip(), "Lease-Protocol": "1"}
    request = urllib.request.Request(url + path, headers=headers)

    def ask() -> dict:
        with urllib.request.urlopen(request, context=context, timeout=5) as answer:
            return json.load(answer)

    if not every:
        print(json.dumps(ask()))
        return
    due = time.monotonic()
    while True:
        asked = time.time()
        try:
            said = ask()
        except (OSError, ValueError) as error:
            said = {"error": str(error)}
        print(json.dumps({"time": asked, **said}), flush=True)
        due = max(due + float(every), time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Ask Patroni's REST API, as a stranger would: rest.py URL CA-FILE USER PASSWORD-FILE METHOD BODY

Prints one line of JSON: {"status": number, "body": JSON or text}, or {"error": sentence} when there was no answer.
"""

from __future__ import annotations

import base64
import json
import pathlib
import ssl
import sys
import urllib.error
import urllib.request


def main(url: str, ca_file: str, user: str, password_file: str, method: str, body: str) -> None:
    """Ask once."""
    words = f"{user}:{pathlib.Path(password_file).read_text(encoding='utf-8').strip()}"
    headers = {"Authorization": "Basic " + base64.b64encode(words.encode()).decode(), "Content-Type": "application/json"}
    data = None if body == "null" else body.encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca_file), timeout=5) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
    except (OSError, ValueError) as error:
        print(json.dumps({"error": str(error)}))
        return
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    print(json.dumps({"status": status, "body": said}))


if __name__ == "__main__":
    main(*sys.argv[1:])

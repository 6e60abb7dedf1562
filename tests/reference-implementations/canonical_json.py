"""Reads one JSON document a line and prints each in its canonical form (RFC 8785), by PyPI's rfc8785."""

import json
import sys

import rfc8785

for line in sys.stdin.buffer:
    sys.stdout.buffer.write(rfc8785.dumps(json.loads(line)) + b"\n")

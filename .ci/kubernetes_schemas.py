"""The schemas of Kubernetes' own resources, and of others' resources in tests/kubernetes-schemas."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate

VERSION = "1.37"


def check(manifest):
    """Fails if the manifest does not fit its schema, or has a field that is not in it."""
    api, kind = manifest["apiVersion"], manifest["kind"]
    schema = Path("tests/kubernetes-schemas") / f"{api.replace('/', '_')}_{kind}.json"
    if schema.exists():
        jsonschema.validate(manifest, json.loads(schema.read_text()))
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def assert_checked(manifest):
    """A misspelt field of the manifest's kind is seen."""
    try:
        check({**manifest, "specs": {}})
    except Exception:
        return
    raise AssertionError(f"{manifest['kind']} is not checked")

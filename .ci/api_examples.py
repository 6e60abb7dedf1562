"""Checks every example in docs/openapi.json against its schema: of bodies, parameters, headers and schemas themselves. Each
body, parameter and header of every operation must have one."""

import json
import sys
from urllib.parse import quote

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

document = json.load(open("docs/openapi.json"))
registry = Registry().with_resource("urn:openapi", Resource(document, DRAFT202012))


def resolve(node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def examples(node):
    """The examples of a media type, a parameter, a header or a schema."""
    if "example" in node:
        yield node["example"]
    named = node.get("examples", [])
    for example in named.values() if isinstance(named, dict) else []:
        yield resolve(example)["value"]
    if isinstance(named, list):
        yield from named


def check(node, pointer, schema_pointer):
    validator = Draft202012Validator(
        {"$ref": f"urn:openapi#{schema_pointer}"}, registry=registry, format_checker=FormatChecker()
    )
    found = 0
    for example in examples(node):
        found += 1
        for error in validator.iter_errors(example):
            failures.append(f"{pointer}: {error.json_path}: {error.message}")
    return found


def walk(node, pointer):
    found = 0
    if isinstance(node, dict):
        if isinstance(node.get("schema"), dict):
            found += check(node, pointer, f"{pointer}/schema")
        elif "type" in node or "allOf" in node or "oneOf" in node:
            if isinstance(node.get("type", ""), (str, list)):
                found += check(node, pointer, pointer)
        for key, value in node.items():
            if key not in ("example", "examples", "default"):
                escaped = quote(key.replace("~", "~0").replace("/", "~1"), safe="~")
                found += walk(value, f"{pointer}/{escaped}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            found += walk(value, f"{pointer}/{index}")
    return found


def described(operation):
    """What an operation describes by a schema, with its place."""
    for parameter in map(resolve, operation.get("parameters", [])):
        yield f"parameter {parameter['name']}", parameter
    responses = {f"response {status}": response for status, response in operation["responses"].items()}
    for place, response in {"request": operation.get("requestBody", {}), **responses}.items():
        response = resolve(response)
        for part in ("content", "headers"):
            for name, node in response.get(part, {}).items():
                yield f"{place} {name}", resolve(node)


failures = []
found = walk(document, "")
for path, item in document["paths"].items():
    for method, operation in item.items():
        failures += [
            f"{method} {path}: {place} has no example" for place, node in described(operation) if not [*examples(node)]
        ]
for failure in failures:
    print(failure, file=sys.stderr)
if failures or found < 100:
    sys.exit(f"{len(failures)} of {found} examples do not fit their schema, or are missing")
print(f"{found} examples fit their schemas")

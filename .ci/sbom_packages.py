"""Adds the npm packages that the console's scripts contain to a list of components: as console/dist/licences.txt names them,
with the checksums of console/package-lock.json."""

import base64
import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

file = Path(sys.argv[1])
document = json.loads(file.read_text())
lock = json.loads(Path("console/package-lock.json").read_text())["packages"]
# `build.mjs --check` compares it with the bundle.
bundled = re.findall(r"(?m)^(@?[a-z][\w./-]*) (\d[\w.+-]*) \(", Path("console/dist/licences.txt").read_text())
components = []
for name, version in bundled:
    package = lock[f"node_modules/{name}"]
    if package["version"] != version:
        sys.exit(f"console/dist contains {name} {version}, and console/package-lock.json names {package['version']}")
    algorithm, checksum = package["integrity"].split("-", 1)
    assert algorithm == "sha512", package
    purl = f"pkg:npm/{quote(name, safe='/')}@{version}"
    group, _, base = name.rpartition("/")
    components.append({
        "type": "library",
        "bom-ref": purl,
        **({"group": group} if group else {}),
        "name": base,
        "version": version,
        "hashes": [{"alg": "SHA-512", "content": base64.b64decode(checksum).hex()}],
        "licenses": [{"expression": package["license"]}],
        "purl": purl,
    })
if not any(component["name"] == "lit" for component in components):
    sys.exit("no package is named in console/dist/licences.txt")

document["components"] += components
purls = [component["purl"] for component in components]
program = document["metadata"]["component"]["bom-ref"]
[dependencies] = [dependency for dependency in document["dependencies"] if dependency["ref"] == program]
dependencies["dependsOn"] = [*dependencies.get("dependsOn", []), *purls]
document["dependencies"] += [{"ref": purl} for purl in purls]
file.write_text(json.dumps(document, indent=2) + "\n")
print(f"{file}: {len(components)} packages of the console")

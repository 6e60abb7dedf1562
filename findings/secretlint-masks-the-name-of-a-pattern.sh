#!/usr/bin/env bash
# secretlint 13.0.6 (seen on 12.0.0, too): the masking of secrets in reports, which is on by default, masks the name that a
# pattern of secretlint-rule-pattern was given, too. The report says that something matched, not what:
#
#     1:4  error  [PATTERN] found matching ***************: *************
#
# `--no-maskSecrets` shows the name, and with it the secret: there is no report with the name alone. The reason seems to be
# that all values of a message are masked, and the name is one of them.
#
# Why it matters: whoever declares formats of keys as patterns, to tell from a report whose key leaked and who has to revoke
# it, learns it from neither the text nor the JSON report. A rule of one's own, whose id is never masked, tells it.
#
# Needs npm and Node.js. Works in a temporary folder. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
timeout 150 npm install --no-audit --no-fund --loglevel=error \
    secretlint@13.0.6 @secretlint/secretlint-rule-pattern@13.0.6 >install.log
cat >rules.json <<'RULES'
{"rules": [{"id": "@secretlint/secretlint-rule-pattern",
            "options": {"patterns": [{"name": "internal ticket", "pattern": "/TICKET-[0-9]{6}/"}]}}]}
RULES
echo "see TICKET-123456 please" >note.txt
for option in --maskSecrets --no-maskSecrets; do
    timeout 60 node_modules/.bin/secretlint "$option" --secretlintrc rules.json note.txt >report && exit 1
    echo "$option: $(grep -o 'found matching [^@]*[^@ ]' report)"
done | tee seen
diff - seen <<'EXPECTED'
--maskSecrets: found matching ***************: *************
--no-maskSecrets: found matching internal ticket: TICKET-123456
EXPECTED
echo "as described"

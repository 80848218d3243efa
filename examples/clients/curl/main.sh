#!/usr/bin/env bash
# Submits jobs with curl: see docs/clients.md.
set -euo pipefail
url=${MILLSTREAM_URL:-http://127.0.0.1:8080}

# `--retry` repeats a request after 503, and waits for as long as `Retry-After` says.
call() { curl --silent --show-error --fail-with-body --retry 5 --header 'Content-Type: application/json' "$@"; }

# A job is submitted and waited for, 30 seconds at most. A repetition has the same key, so it makes no second job.
submit() { call "$url/v1/jobs" --header "Idempotency-Key: $$-$(date +%s%N)" --header 'Prefer: wait=30' --data "$1"; }

# The first text under this name. A program that needs more of a response has jq.
text() { grep --only-matching "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

report=$(submit '{"type": "report.generate", "payload": {"rows": [{"city": "Oslo", "sold": 3}], "format": "csv"}}')
echo "$(text type <<<"$report") $(text state <<<"$report") at $(text finished_at <<<"$report")"

poison=$(submit '{"type": "demo.poison", "max_attempts": 1}')
echo "$(text type <<<"$poison") $(text state <<<"$poison"): $(text message <<<"$poison")"

id=$(text id <<<"$poison")
state=$(call "$url/v1/jobs/$id?wait=1" | text state)
listed=$(call "$url/v1/dead?type=demo.poison&limit=100" | grep --quiet "\"$id\"" && echo true)
echo "read $state, listed $listed"

echo "redriven $(call "$url/v1/dead/redrive" --data "{\"ids\": [\"$id\"]}" | grep --only-matching '"done":[0-9]*' | cut -d : -f 2)"

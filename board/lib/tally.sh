# Sourced by board/test: runs the parts, counts what they report, prints the closing line.
#
# A part is a script that prints one line `ok NAME`, `FAIL NAME: why` or `skip NAME: reason` per check, among
# whatever else it says. A part that exits non-zero without a FAIL line of its own counts as one failure.

passed=0 failed=0 skipped=0
failures=()
began=$SECONDS

run_part() {
  local name=$1 part=$2 log started=$SECONDS status good bad
  log=$(mktemp)
  printf '\n== %s\n' "$name"
  # A thousand unit tests are counted, and shown only when they fail.
  root=$root bash "$part" 2>&1 | tee "$log" | grep --line-buffered -v '^ok [^ ]*('
  status=${PIPESTATUS[0]}
  good=$(grep -c '^ok ' "$log")
  passed=$((passed + good))
  skipped=$((skipped + $(grep -c '^skip ' "$log")))
  bad=$(grep -c '^FAIL ' "$log")
  failed=$((failed + bad))
  while read -r line; do failures+=("$name: ${line#FAIL }"); done < <(grep '^FAIL ' "$log")
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    failed=$((failed + 1))
    failures+=("$name: ended with status $status")
  fi
  printf -- '-- %s: %d passed, %d failed, %d s\n' "$name" "$good" "$bad" $((SECONDS - started))
  rm -f "$log"
}

close_tally() {
  printf '\n'
  local line
  for line in "${failures[@]+"${failures[@]}"}"; do printf 'failed: %s\n' "$line"; done
  printf 'in %d s\n' $((SECONDS - began))
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

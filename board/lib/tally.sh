# Sourced by board/test: runs the parts, counts what they report, prints the closing line.
#
# A part is a script that prints one line `ok NAME`, `FAIL NAME: why` or `skip NAME: reason` per check, among
# whatever else it says. A part that exits non-zero without a FAIL line of its own counts as one failure.

passed=0 failed=0 skipped=0
failures=()
began=$SECONDS

run_part() {
  local name=$1 part=$2 log started=$SECONDS status bad
  log=$(mktemp)
  printf '\n== %s\n' "$name"
  root=$root bash "$part" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  passed=$((passed + $(grep -c '^ok ' "$log")))
  skipped=$((skipped + $(grep -c '^skip ' "$log")))
  bad=$(grep -c '^FAIL ' "$log")
  failed=$((failed + bad))
  while read -r line; do failures+=("$name: ${line#FAIL }"); done < <(grep '^FAIL ' "$log")
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    failed=$((failed + 1))
    failures+=("$name: ended with status $status")
  fi
  printf -- '-- %s: %d s\n' "$name" $((SECONDS - started))
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

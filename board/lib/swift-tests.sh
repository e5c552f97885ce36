# Sourced by parts that run Swift Testing: reports one line a test.

# swift_tests SCRATCH [argument…]: builds and runs the tests with these arguments of `swift test`.
swift_tests() {
  local scratch=$1 log status
  shift
  log=$(mktemp)
  if ! swift build --build-tests --scratch-path "$scratch" "${build_arguments[@]+"${build_arguments[@]}"}" >"$log" 2>&1; then
    grep -E 'error|warning' "$log" | sort -u | head -30
    tail -5 "$log"
    echo "FAIL the tests build${label:+ ($label)}"
    return 1
  fi
  swift test --skip-build --disable-xctest --scratch-path "$scratch" "${build_arguments[@]+"${build_arguments[@]}"}" "$@" >"$log" 2>&1
  status=$?
  sed -n "s/^. *Test \(.*\) passed after .*/ok \1${label:+ ($label)}/p" "$log"
  sed -n "s/^. *Test \(.*\) failed after .*/FAIL \1${label:+ ($label)}/p" "$log"
  if [ $status -ne 0 ]; then
    grep -vE '^. *(Test|Suite) .*(started|passed)' "$log" | head -60
    grep -qE '^. *Test .* failed after' "$log" || echo "FAIL swift test${label:+ ($label)}: ended with status $status"
  fi
  rm -f "$log"
  return 0
}

# Sourced by board/run and board/test: finds or installs what they need. Asks nothing, works without a terminal.

root=$(cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../.." && pwd)
cd "$root"
export DEBIAN_FRONTEND=noninteractive
# The toolchain's crash reporter was seen to hang a crashed process for minutes.
export SWIFT_BACKTRACE=enable=no

# What a build needs from Debian. libavcodec and libasound are opened at first use, so their headers are all that a build
# wants.
build_packages=(pkg-config git g++ libssl-dev libsrtp2-dev libsqlite3-dev libopus0 libavcodec-dev libavutil-dev libswresample-dev libasound2-dev libqrencode-dev tzdata ca-certificates)

say() { printf '%s\n' "$*"; }
die() { printf 'board: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo -E "$@"
  else die "needs root for: $* (run as root, or install sudo)"; fi
}

# Installs those of the named packages that are missing. Nothing is touched when all are there.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing from Debian: ${missing[*]}"
  local log; log=$(mktemp)
  if ! { as_root apt-get update && as_root apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    die "apt-get could not install: ${missing[*]}"
  fi
  rm -f "$log"
}

# Puts a Swift of at least 6.2 on PATH, or says exactly how to get one.
need_swift() {
  local folder version
  for folder in "" /opt/swift/usr/bin /opt/swift/bin "$HOME/.local/share/swiftly/bin" /usr/libexec/swift/bin; do
    [ -n "$folder" ] && [ -x "$folder/swift" ] && PATH=$folder:$PATH
    if command -v swift >/dev/null; then
      version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -1)
      if [ -n "$version" ] && [ "$(printf '%s\n6.2\n' "$version" | sort -V | head -1)" = 6.2 ]; then return 0; fi
    fi
  done
  local machine; machine=$(uname -m)
  cat >&2 <<MESSAGE
board: Swift 6.2 or newer is not on this machine${version:+ (found $version)}. To get it:

  apt-get install -y curl gnupg2 libcurl4-openssl-dev libxml2-dev libz3-dev libpython3-dev libncurses-dev tzdata
  curl -fsSO https://download.swift.org/swiftly/linux/swiftly-$machine.tar.gz
  tar xzf swiftly-$machine.tar.gz && ./swiftly init --assume-yes --skip-install
  . ~/.local/share/swiftly/env.sh && swiftly install --use --assume-yes 6.3.1

then run this script again.
MESSAGE
  exit 1
}

# Builds the two programs optimised, with the standard library inside, into .build/release.
build_release() {
  say "building the release programs (some minutes the first time)"
  swift build -c release --static-swift-stdlib --product vestibuled 2>&1 | tail -n 3
  swift build -c release --static-swift-stdlib --product vestibule 2>&1 | tail -n 3
  [ -x .build/release/vestibuled ] && [ -x .build/release/vestibule ] || die "the build failed: see above"
}

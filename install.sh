#!/bin/sh
# Installs tombstone for this user: picks the binary for this system, checks its SHA-256, and puts it into place.
#
#   TOMBSTONE_VERSION      version to install, such as 0.1.0 (the latest)
#   TOMBSTONE_INSTALL_DIR  where to put it (~/.local/bin)
#   TOMBSTONE_RELEASES     where releases are found (the repository that this script was released by)
set -eu

releases=${TOMBSTONE_RELEASES:-"@RELEASES@"}
version=${TOMBSTONE_VERSION:-latest}
target=${TOMBSTONE_INSTALL_DIR:-"${HOME:?is not set}/.local/bin"}

fail() { # MESSAGE HINT
  printf 'Cannot install tombstone: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

case $releases in
  @*) fail "this copy of the script belongs to no release" "take install.sh from a release, or set TOMBSTONE_RELEASES" ;;
esac

system=$(uname -s)
machine=$(uname -m)
case $system in
  Linux) os=linux ;;
  Darwin) os=macos ;;
  *) fail "there is no binary for $system" "deno install --global -A --name tombstone URL-OF/tombstone.js" ;;
esac
case $machine in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) fail "there is no binary for $system on $machine" "deno install --global -A --name tombstone URL-OF/tombstone.js" ;;
esac
file=tombstone-$os-$arch

case $version in
  latest) url=$releases/latest/download ;;
  *) url=$releases/download/v${version#v} ;;
esac

if command -v curl >/dev/null; then
  download() { curl -fsSL -o "$2" "$1"; }
elif command -v wget >/dev/null; then
  download() { wget -q -O "$2" "$1"; }
else
  fail "there is neither curl nor wget" "install one of them"
fi
if command -v sha256sum >/dev/null; then
  sum() { sha256sum "$1" | cut -d ' ' -f 1; }
elif command -v shasum >/dev/null; then
  sum() { shasum -a 256 "$1" | cut -d ' ' -f 1; }
else
  fail "there is neither sha256sum nor shasum, so the download cannot be checked" "install coreutils"
fi

mkdir -p "$target" || fail "$target cannot be made" "set TOMBSTONE_INSTALL_DIR to a directory of yours"
# Beside its place, so that the last step is a rename: whatever interrupts this, the old one or the new one is there.
work=$(mktemp -d "$target/.tombstone.XXXXXX") || fail "$target cannot be written" "set TOMBSTONE_INSTALL_DIR to another"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

download "$url/SHA256SUMS" "$work/sums" || fail "$url/SHA256SUMS cannot be fetched" "check the version and the network"
wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $file\$/\1/p" "$work/sums")
[ -n "$wanted" ] || fail "release $version has no $file" "choose another with TOMBSTONE_VERSION"
download "$url/$file" "$work/tombstone" || fail "$url/$file cannot be fetched" "check the network"
found=$(sum "$work/tombstone")
[ "$found" = "$wanted" ] || fail "the sum of $url/$file is $found, not $wanted" "try again; if that does not help, report it"

chmod 755 "$work/tombstone"
named=$("$work/tombstone" --version) || fail "the binary does not run on this system" "deno install --global -A --name tombstone URL-OF/tombstone.js"
mv -f "$work/tombstone" "$target/tombstone"
printf 'installed %s as %s (%s, SHA-256 checked)\n' "$named" "$target/tombstone" "$file"
case :$PATH: in
  *:"$target":*) ;;
  *) printf 'note: %s is not on PATH; add it: export PATH="%s:$PATH"\n' "$target" "$target" ;;
esac

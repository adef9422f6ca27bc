#!/usr/bin/env bash
# update.sh VERSION: write go.mod and go.sum for another version of Kubernetes,
# such as 1.37.2.
#
# k8s.io/kubernetes replaces the modules that are developed with it by
# directories, and requires v0.0.0 of them. Outside of its own tree they are to
# be had as v0.MINOR.PATCH.
set -euo pipefail
cd "$(dirname "$0")"
version=${1:?usage: $0 VERSION, such as 1.37.2}
staging=v0.${version#1.}

module=$(cd / && go mod download -json "k8s.io/kubernetes@v$version")
field() { sed -nE "s/^\t\"$1\": \"([^\"]+)\".*/\1/p" <<<"$module"; }
mod=$(field GoMod) dir=$(field Dir)

{
  echo "// Written by update.sh."
  echo "module orrery.dev/orrery/test/cluster/kubernetes"
  echo
  grep -E '^(go|godebug) ' "$mod"
  echo
  echo "require k8s.io/kubernetes v$version"
  sed -n '/^require (/,/^)/p' "$mod" | sed -E "s@^(\tk8s\.io/[a-z-]+) v0\.0\.0( .*)?\$@\1 $staging\2@"
  echo "replace ("
  sed -nE "s@.*[[:space:]](k8s\.io/[a-z-]+)( v0\.0\.0)? => \./staging.*@\t\1 => \1 $staging@p" "$mod"
  echo ")"
} >go.mod
cat "$dir/go.sum" >go.sum
go mod tidy

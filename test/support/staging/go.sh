#!/bin/bash
# The same of a Go app: the compiler is unpacked and run, and what it made is run for its version.
set -euo pipefail
build=$1 cache=$2 deps=$3/$4
mkdir -p "$cache" "$deps/bin" "$deps/profile.d" /tmp/downloads
tar -czhf /tmp/downloads/go.tgz -C "$(dirname "$(dirname "$(readlink -f /usr/bin/go)")")" bin/go bin/gofmt
curl -sSf -o "$cache/go.tgz" file:///tmp/downloads/go.tgz
mkdir -p "$deps/go"
tar -xzf "$cache/go.tgz" -C "$deps/go"
cd "$build"
cat >go.mod <<'END'
module example.com/app

go 1.21
END
cat >main.go <<'END'
package main

import "fmt"

// #include <stdlib.h>
import "C"

func main() { fmt.Println("app", C.abs(-1)) }
END
export GOROOT=/usr/lib/go-1.24 GOCACHE=$cache/go-build GOPATH=/tmp/go GOFLAGS=-mod=mod HOME=/tmp
for version in /usr/lib/go-*; do GOROOT=$version; done
"$deps/go/bin/go" version
"$deps/go/bin/go" vet ./... || true
"$deps/go/bin/go" build -o "$build/bin/app" .
"$build/bin/app"
printf 'export PATH=$PATH:$HOME/bin\n' >"$deps/profile.d/go.sh"
tar -czf /tmp/droplet -C /tmp app contents
rm -rf /tmp/downloads

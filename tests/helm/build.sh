#!/bin/sh
# Builds target/helm/helm, unless it is up to date.
set -eu
cd "$(dirname "$0")"
out=$(cd ../.. && pwd)/target/helm
mkdir -p "$out"

exec 9>"$out/lock"
if command -v flock >/dev/null; then flock 9; fi

want=$( (cat go.mod go.sum build.sh; go version) | sha256sum | cut -d' ' -f1)
if [ -x "$out/helm" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false"
version=$(go list -m -f '{{.Version}}' helm.sh/helm/v4)
flags="-s -w -X helm.sh/helm/v4/internal/version.version=$version"
echo "helm: building $version; the first build takes about 2 minutes on 2 cores" >&2
. ../build-go.sh
build_go helm "$out/build.log" helm.sh/helm/v4/cmd/helm -trimpath -ldflags "$flags" -o "$out/helm.new"
mv "$out/helm.new" "$out/helm"
echo "$want" >"$out/stamp"

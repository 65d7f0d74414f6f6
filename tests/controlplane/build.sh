#!/bin/sh
# Builds target/controlplane/controlplane, and a link `kubectl` beside it, unless they are up to date.
set -eu
cd "$(dirname "$0")"
out=$(cd ../.. && pwd)/target/controlplane
mkdir -p "$out"

exec 9>"$out/lock"
if command -v flock >/dev/null; then flock 9; fi

want=$( (cat go.mod go.sum build.sh; ls -- *.go; cat -- *.go; go version) | sha256sum | cut -d' ' -f1)
if [ -x "$out/controlplane" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
date=$(go list -m -f '{{with .Time}}{{.Format "2006-01-02T15:04:05Z"}}{{end}}' k8s.io/kubernetes)
minor=${version#v1.}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
	flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=$version -X $package.buildDate=${date:-1970-01-01T00:00:00Z}"
done
echo "controlplane: building Kubernetes $version; the first build takes about 5 minutes on 2 cores" >&2
. ../build-go.sh
build_go controlplane "$out/build.log" . -trimpath -ldflags "$flags" -o "$out/controlplane.new"
mv "$out/controlplane.new" "$out/controlplane"
ln -sfn controlplane "$out/kubectl"
echo "$want" >"$out/stamp"

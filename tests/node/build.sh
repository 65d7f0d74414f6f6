#!/bin/sh
# Builds target/node: the node, containerd, its shim and ctr, the network plugins and pause, and fetches runc, unless they are up to date.
set -eu
cd "$(dirname "$0")"
out=$(cd ../.. && pwd)/target/node
mkdir -p "$out"

exec 9>"$out/lock"
if command -v flock >/dev/null; then flock 9; fi

sum() { (cat "$@"; go version) | sha256sum | cut -d' ' -f1; }
current() { [ -x "$out/$1" ] && [ "$(cat "$out/$1.stamp" 2>/dev/null)" = "$2" ]; }

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false"
. ../build-go.sh

want=$(sum build.sh go.mod go.sum ./*.go janitor.sh)
if ! current node "$want"; then
	version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
	minor=${version#v1.}
	flags="-s -w"
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
	done
	echo "node: building kubelet and scheduler $version; the first build takes about 2 minutes on 2 cores" >&2
	build_go node "$out/build.log" . -trimpath -ldflags "$flags" -o "$out/node.new"
	mv "$out/node.new" "$out/node"
	echo "$want" >"$out/node.stamp"
fi

want=$(sum build.sh go.mod consumer/main.go)
if ! current consumer "$want"; then
	go build -trimpath -ldflags "-s -w" -o "$out/consumer" ./consumer
	echo "$want" >"$out/consumer.stamp"
fi

want=$(sum build.sh containerd/go.mod containerd/go.sum)
if ! current containerd "$want"; then
	echo "containerd: the first build takes about 2 minutes on 2 cores" >&2
	(cd containerd && build_go containerd "$out/build.log" tool -tags "no_btrfs no_devmapper no_zfs" -trimpath -ldflags "-s -w" -o "$out/")
	echo "$want" >"$out/containerd.stamp"
fi

if [ ! -x "$out/pause" ] || [ pause/pause.c -nt "$out/pause" ]; then
	"${CC:-cc}" -static -Os -s -o "$out/pause" pause/pause.c
fi

# It is written in C in part, and links libseccomp: a package has both. Nothing is installed.
if [ ! -x "$out/runc" ]; then
	if runc=$(command -v runc); then
		ln -sfn "$runc" "$out/runc"
	elif command -v apt-get >/dev/null; then
		rm -rf "$out/fetched" && mkdir -p "$out/fetched"
		(
			cd "$out/fetched"
			apt-get download -q runc || { apt-get update -q && apt-get download -q runc; }
			dpkg-deb --extract runc_*.deb .
		) >"$out/build.log" 2>&1 || { cat "$out/build.log" >&2; exit 1; }
		cp "$(find "$out/fetched" -type f -name runc -path '*bin/runc')" "$out/runc"
		rm -rf "$out/fetched"
	else
		echo "node: runc is missing: install the package runc" >&2
		exit 1
	fi
fi

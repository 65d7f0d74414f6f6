#!/bin/sh
# Packs the kubectl plugin for a release: an archive for each architecture, their checksums, and the manifest for krew.
# The same binaries make the same archives. Needs GNU tar.
# Usage: deploy/plugin.sh HOME_PAGE OUTPUT ARCHITECTURE=BINARY…
# The architecture is Go's name of it, such as amd64.
set -eu
cd "$(dirname "$0")/.."
home=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
manifest=$out/zitadel-secret.yaml
cat >"$manifest" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: zitadel-secret
spec:
  version: v$version
  homepage: $home
  shortDescription: Client secrets that rotate by themselves
  description: |
    Answers what the person on call asks about the client secrets that
    zitadel-secret-operator keeps: which credential rotates when, who still has
    the old one, what happened last week, what is wrong and what to do. It uses
    the rights of your kubeconfig and never reads the value of a Secret.
  platforms:
EOF
for of in "$@"; do
	arch=${of%%=*} binary=${of#*=}
	archive=kubectl-zitadel_secret-v$version-linux-$arch.tar.gz
	install -m 0755 "$binary" "$work/kubectl-zitadel_secret"
	install -m 0644 LICENSE "$work/LICENSE"
	tar --create --format=ustar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
		--directory "$work" kubectl-zitadel_secret LICENSE | gzip -n >"$out/$archive"
	cat >>"$manifest" <<EOF
  - selector:
      matchLabels:
        os: linux
        arch: $arch
    uri: $home/releases/download/v$version/$archive
    sha256: $(sha256sum "$out/$archive" | cut -d' ' -f1)
    bin: kubectl-zitadel_secret
    files:
    - from: kubectl-zitadel_secret
      to: .
    - from: LICENSE
      to: .
EOF
done
(cd "$out" && sha256sum kubectl-zitadel_secret-*.tar.gz >kubectl-zitadel_secret-checksums.txt)

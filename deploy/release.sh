#!/bin/sh
# Writes what a release publishes beside its image: the chart and the plain manifests, which name the image by its digest, and the notes.
# Usage: deploy/release.sh REPOSITORY DIGEST HOME_PAGE OUTPUT
# The repository is that of the image, such as registry.example.com/zitadel-secret-operator.
set -eu
cd "$(dirname "$0")/.."
repository=$1 digest=$2 home=$3 out=$4
helm=${ZSO_HELM:-target/helm/helm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chart=$work/zitadel-secret-operator
cp -R charts/zitadel-secret-operator "$chart"
mkdir -p "$out"

fail() {
	echo "deploy/release.sh: $*" >&2
	exit 1
}

# Replaces the one line of a file that is $2.
replace() {
	[ "$(grep -cxF "$2" "$1")" = 1 ] || fail "$1 does not have exactly one line \"$2\""
	awk -v line="$2" -v new="$3" '$0 == line { print new; next } { print }' "$1" >"$work/replaced"
	cp "$work/replaced" "$1"
}

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
for field in version appVersion; do
	grep -qxF "$field: $version" "$chart/Chart.yaml" || fail "$field in Chart.yaml is not $version, the version in Cargo.toml"
done
case $digest in sha256:*) ;; *) fail "\"$digest\" is not a digest such as sha256:..." ;; esac

# In an annotation and not in the values, since `helm upgrade --reuse-values` would keep the image of the older chart.
replace "$chart/Chart.yaml" "annotations:" "home: $home
sources:
- $home
annotations:
  zitadel-secrets.dev/image: $repository@$digest"
replace "$chart/values.yaml" "  repository: zitadel-secret-operator" "  repository: $repository"
"$helm" package "$chart" --destination "$out" >/dev/null

ZSO_CHART=$chart deploy/render.sh "$work"
cp "$work/install.yaml" "$out/install.yaml"

# The section of the version; before it has one, what is not released yet.
section=$version
grep -q "^## \[$version\]" CHANGELOG.md || section=Unreleased
awk -v section="## [$section]" 'index($0, "## [") == 1 { on = index($0, section) == 1; next } on' CHANGELOG.md >"$out/notes.md"
grep -q '^- ' "$out/notes.md" || fail "CHANGELOG.md has no entries for $section"

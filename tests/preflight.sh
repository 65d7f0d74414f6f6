#!/bin/sh
# Says what this machine lacks for `make demo` or `make test` (the argument): one sentence each, with where to get it. Changes nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
purpose=${1:-demo}
failed=0

lacks() {
	echo "preflight: $*" >&2
	failed=1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Whether version $1 is at least version $2.
at_least() {
	awk -v have="$1" -v want="$2" 'BEGIN {
		split(have, h, "."); split(want, w, ".")
		for (i = 1; i <= 3; i++) if (h[i] + 0 != w[i] + 0) exit !(h[i] + 0 > w[i] + 0)
	}'
}

rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! has cargo || ! has rustc; then
	lacks "Rust is missing: install version $rust from https://rustup.rs"
elif ! version=$(rustc --version 2>/dev/null); then
	lacks "rustc does not start: run \`rustup toolchain install $rust\`"
else
	version=${version#rustc }
	version=${version%% *}
	at_least "${version%%-*}" "$rust" || lacks "Rust is $version, and $rust or newer is needed: run \`rustup toolchain install $rust\`"
fi

# The newest that a module asks for. Go 1.21 or newer fetches what it needs by itself.
go=$(sed -n 's/^go //p' image/go.mod tests/*/go.mod | sort -t. -k1,1n -k2,2n -k3,3n | tail -n 1)
if ! has go; then
	lacks "Go is missing: install version $go or newer from https://go.dev/dl"
else
	version=$(cd tests/controlplane && go env GOVERSION 2>/dev/null) || version=
	version=${version#go}
	if [ -z "$version" ] || ! at_least "${version%%[!0-9.]*}" "$go"; then
		lacks "Go is ${version:-too old}, and $go or newer is needed: install it from https://go.dev/dl"
	fi
fi

has make || lacks "make is missing: install the package make"
has "${CC:-cc}" || lacks "a C compiler (${CC:-cc}) is missing: install the package gcc or clang"
has sha256sum || lacks "sha256sum is missing: install the package coreutils"
space=6
if [ "$purpose" = test ]; then
	space=16
	for program in bash git python3; do
		has "$program" || lacks "$program is missing: install the package $program"
	done
fi

# Only a warning, since it is an estimate. What was built before needs no further space.
if [ ! -x target/controlplane/controlplane ]; then
	free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
	if [ "${free:-0}" -lt "$space" ]; then
		echo "preflight: ${free:-0} GiB of disk are free in $(pwd); a first \`make $purpose\` needs about $space GiB" >&2
	fi
fi

exit "$failed"

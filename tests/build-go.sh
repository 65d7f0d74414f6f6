# Sourced by build.sh of controlplane and helm: `go build` that says how far it is.

# build_go NAME LOG PACKAGE FLAG...
build_go() {
	name=$1 log=$2 package=$3
	shift 3
	echo "$name: reading its modules" >&2
	total=$(go list -deps "$package" 2>"$log" | wc -l) || total=0
	[ "$total" -gt 0 ] || { cat "$log" >&2; return 1; }
	go build -v "$@" "$package" >"$log" 2>&1 &
	pid=$!
	# NB: a shell's child in the background does not see ^C.
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	seconds=0
	while kill -0 "$pid" 2>/dev/null; do
		compiled=$(grep -vc '^go: ' "$log") || :
		if [ -t 2 ]; then
			printf '\r%s: compiled %s of %s packages' "$name" "$compiled" "$total" >&2
		elif [ $((seconds % 30)) = 29 ]; then
			echo "$name: compiled $compiled of $total packages" >&2
		fi
		sleep 1
		seconds=$((seconds + 1))
	done
	if [ -t 2 ]; then echo >&2; fi
	wait "$pid" || { cat "$log" >&2; return 1; }
	trap - INT TERM
	echo "$name: built in $seconds s" >&2
}

# Waits for the end of a node, then removes its cgroups and its data. Arguments: the name of the cgroup, the data directory.
trap '' INT TERM HUP
cat >/dev/null
tries=0
while [ "$tries" -lt 300 ]; do
	left=
	for dir in /sys/fs/cgroup/*/"$1"; do
		[ -d "$dir" ] || continue
		# The processes in it may still be on their way out.
		find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null
		if [ -d "$dir" ]; then left=1; fi
	done
	[ -n "$left" ] || break
	tries=$((tries + 1))
	sleep 0.1
done
rm -rf --one-file-system "$2"

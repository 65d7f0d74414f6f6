#!/bin/sh
# Says in one line why this machine cannot run a node, and fails then; says nothing where it can.
set -u

cannot() {
	echo "no node here: $*"
	exit 1
}

[ "$(uname -s)" = Linux ] || cannot "it needs Linux"
[ "$(id -u)" = 0 ] || cannot "it needs root"
for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
	[ -w "/sys/fs/cgroup/$controller/cgroup.procs" ] || cannot "it needs the controller $controller of cgroup v1 in /sys/fs/cgroup (cgroup v2 alone is not supported yet)"
done
[ -e /dev/kmsg ] || cannot "it needs /dev/kmsg"
[ -e /proc/sys/kernel/seccomp ] || cannot "the kernel has no seccomp"
command -v unshare >/dev/null || cannot "it needs the program unshare"
failure=$(unshare --mount --net --pid --ipc --fork --mount-proc --propagation private sh -c '
	scratch=/proc
	mount -t tmpfs scratch "$scratch" && mkdir "$scratch/upper" "$scratch/work" &&
		mount -t overlay overlay -o "lowerdir=/var,upperdir=$scratch/upper,workdir=$scratch/work" /var || exit
	command -v ip >/dev/null || exit 0
	ip link add bridge0 type bridge && ip link add veth0 type veth peer name veth1
' 2>&1) || cannot "it needs namespaces, overlayfs, bridges and veth: $(echo "$failure" | head -n 1)"

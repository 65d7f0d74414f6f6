package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// waitForExit returns when the process has ended. PR_SET_PDEATHSIG will not do: it reports the end of the thread that
// started us, and test runners end threads all the time.
func waitForExit(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return errParentEnded
		}
		return pollForExit(pid)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 {
			return errParentEnded
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return pollForExit(pid)
		}
	}
}

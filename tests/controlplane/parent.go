package main

import (
	"errors"
	"syscall"
	"time"
)

var errParentEnded = errors.New("the parent process ended")

// pollForExit returns when there is no such process any more.
func pollForExit(pid int) error {
	for syscall.Kill(pid, 0) == nil {
		time.Sleep(500 * time.Millisecond)
	}
	return errParentEnded
}

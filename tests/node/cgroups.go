package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	_ "embed"
)

const (
	cgroups      = "/sys/fs/cgroup"
	cgroupPrefix = "zso-node-"
)

// makeCgroup makes the cgroup of the Pods under each controller.
func makeCgroup(name string) error {
	mounted, err := os.ReadDir(cgroups)
	if err != nil {
		return err
	}
	for _, entry := range mounted {
		// Links name several controllers together that are one directory.
		if !entry.IsDir() {
			continue
		}
		dir := filepath.Join(cgroups, entry.Name(), name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		// A new cgroup has no processors until it is told which.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

//go:embed janitor.sh
var janitorScript string

// removeStale removes cgroups of nodes whose process is gone, and their janitor with it.
func removeStale() {
	found, _ := filepath.Glob(filepath.Join(cgroups, "*", cgroupPrefix+"*"))
	for _, dir := range found {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix))
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		// Not one that has a process: rmdir does not remove it.
		_ = exec.Command("find", dir, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
	}
}

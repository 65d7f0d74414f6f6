package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// initNamespaces is the first process of the node's namespaces: the kernel ends all others with it, and takes away their mounts and
// networks. It ends when its standard input does, and so with the program that started it, however that ends.
func initNamespaces(s settings) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	if err := makeMounts(s); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := makeNetwork(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	// File 3 is where supervise waits for its next step, file 4 where it says how far it is.
	supervisor := s.self("supervise")
	process, err := os.StartProcess(supervisor.Path, supervisor.Args, &os.ProcAttr{
		Env:   append(os.Environ(), "PATH="+s.Programs+":"+os.Getenv("PATH")),
		Files: []*os.File{os.NewFile(3, "steps"), os.NewFile(4, "progress"), os.Stderr},
	})
	if err != nil {
		return err
	}
	// What loses its parent becomes a child of the first process.
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait: %w", err)
		}
		if pid == process.Pid {
			os.Exit(status.ExitStatus())
		}
	}
}

// kernelSettings are what the kubelet wants of the machine. It finds these values in files of their own, so that those of the machine stay.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func makeMounts(s settings) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for name, value := range kernelSettings {
		file := s.path(filepath.Join("sysctl", name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("/proc/sys/%s: %w", name, err)
		}
	}
	upper, work := s.path("var"), s.path("var.work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/var", "overlay", 0, "lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("/var: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	return nil
}

func makeNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	// Without an address of its own, the bridge takes that of a Pod: when this Pod goes, the others lose their way to the node for 20 s.
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0", HardwareAddr: net.HardwareAddr{2, 0, 10, 97, 0, 1}}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for _, it := range []struct {
		link    netlink.Link
		address string
	}{{lo, serviceIP + "/32"}, {lo, dnsIP + "/32"}, {bridge, podCIDR}} {
		address, err := netlink.ParseAddr(it.address)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(it.link, address); err != nil {
			return fmt.Errorf("%s: %w", it.address, err)
		}
		if err := netlink.LinkSetUp(it.link); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o600)
}

// supervise starts what the node is made of and ends with an error when one of it ends.
func supervise(s settings) error {
	failed := make(chan error, 4)
	if err := startContainerd(s, failed); err != nil {
		return err
	}
	// Says that containers can run, and waits until the control plane does; see up.
	fmt.Println("containers")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if err := startKubelet(s, failed); err != nil {
		return err
	}
	if !s.Join {
		if err := s.start("scheduler", schedulerCommand(s), failed); err != nil {
			return err
		}
		if err := s.start("controllers", s.self("controllers"), failed); err != nil {
			return err
		}
	}
	return <-failed
}

// until asks again and again, for as long as a start may take.
func until(what string, failed <-chan error, done func() bool) error {
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case err := <-failed:
			return err
		case <-deadline:
			return fmt.Errorf("%s: not so within a minute", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

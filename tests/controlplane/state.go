package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// state is what a restart in the same data directory must find again besides the certificates and etcd's files.
type state struct {
	EtcdPort      int `json:"etcdPort"`
	APIServerPort int `json:"apiserverPort"`
}

func (s state) url() string  { return "https://" + address(s.APIServerPort) }
func (s state) etcd() string { return "http://" + address(s.EtcdPort) }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func statePath(dataDir string) string { return filepath.Join(dataDir, "state.json") }

func readState(dataDir string) (s state, err error) {
	content, err := os.ReadFile(statePath(dataDir))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(content, &s)
}

func (s state) write(dataDir string) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(statePath(dataDir), append(content, '\n'))
}

// kubeconfigFor signs a client certificate with the authority of a data directory.
func kubeconfigFor(dataDir, user string, groups []string) ([]byte, error) {
	s, err := readState(dataDir)
	if err != nil {
		return nil, err
	}
	p, err := openPKI(dataDir)
	if err != nil {
		return nil, err
	}
	return p.kubeconfig(s.url(), user, groups)
}

// listen opens a given port, or, for 0, a free one below the range that the kernel takes for outgoing connections:
// nobody gets it by chance while the control plane is down for a restart.
func listen(port int) (net.Listener, int, error) {
	if port != 0 {
		l, err := listenPatiently(port)
		return l, port, err
	}
	const first = 12000
	end := ephemeralStart()
	if end <= first+1000 {
		end = 30000
	}
	for range 200 {
		port := first + rand.IntN(end-first)
		l, err := net.Listen("tcp4", address(port))
		if err == nil {
			return l, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
	}
	return nil, 0, errors.New("no free port on 127.0.0.1")
}

// listenPatiently waits a little for a predecessor that is still on its way out.
func listenPatiently(port int) (net.Listener, error) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		l, err := net.Listen("tcp4", address(port))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return l, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func ephemeralStart() int {
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 32768
	}
	fields := strings.Fields(string(content))
	if len(fields) == 0 {
		return 32768
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return 32768
	}
	return n
}

// lock makes sure that one control plane at a time works in a data directory. The kernel lets go of it when the
// process ends, however it ends.
func lock(dataDir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("another control plane runs in %s: %w", dataDir, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

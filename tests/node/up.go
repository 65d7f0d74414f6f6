package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type options struct {
	controlplane, program, name string
	join                        bool
	forward                     []int
	json, exitOnStdinClose      bool
	startTimeout                time.Duration
}

// ready is the line of --json.
type ready struct {
	Kubeconfig   string `json:"kubeconfig"`
	Node         string `json:"node"`
	Address      string `json:"address"`
	PID          int    `json:"pid"`
	DataDir      string `json:"dataDir"`
	ControlPlane string `json:"controlPlane"`
	Cgroup       string `json:"cgroup"`
}

func up(o options) (err error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() { cancel(fmt.Errorf("received %v", <-signals)) }()
	if o.exitOnStdinClose {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel(errors.New("standard input ended"))
		}()
	}

	removeStale()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "zso-node-")
	if err != nil {
		return err
	}
	s := settings{
		Name: o.name, Dir: dir, Cgroup: cgroupPrefix + strconv.Itoa(os.Getpid()), Programs: filepath.Dir(self), Join: o.join,
	}
	if o.program == "" {
		o.program = filepath.Join(s.Programs, "../controlplane/controlplane")
	}
	removed, err := startJanitor(s.Cgroup, dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	// The last of all: what uses cgroups and data must have ended.
	defer removed()
	if err := makeCgroup(s.Cgroup); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}

	failed := make(chan error, 4)
	kubelet, err := net.Listen("tcp4", net.JoinHostPort(o.name, "0"))
	if err != nil {
		return fmt.Errorf("the name of the node must be localhost or an address of the loopback: %w", err)
	}
	defer kubelet.Close()
	s.KubeletPort = kubelet.Addr().(*net.TCPAddr).Port
	inside, stop, err := startNamespaces(s, failed)
	if err != nil {
		return err
	}
	defer stop()

	// At the same time as containerd.
	cluster := make(chan error, 1)
	var c controlPlane
	stopCluster := func() {}
	go func() {
		var err error
		c, stopCluster, err = openControlPlane(o, s, failed)
		if err == nil {
			err = c.admit(ctx, s)
		}
		cluster <- err
	}()
	defer func() { stopCluster() }()
	if err := first(ctx, failed, o.startTimeout, inside.containers, cluster); err != nil {
		return err
	}
	if err := inside.connect(o, c, kubelet, s.KubeletPort); err != nil {
		return err
	}
	if err := inside.proceed(); err != nil {
		return err
	}
	nodeReady := make(chan error, 1)
	go func() { nodeReady <- c.nodeReady(ctx, s.Name, began) }()
	if err := first(ctx, failed, o.startTimeout, nodeReady); err != nil {
		return err
	}
	if err := o.report(ready{
		Kubeconfig: c.admin, Node: s.Name, Address: nodeIP, PID: inside.pid, DataDir: dir, ControlPlane: c.dir, Cgroup: s.Cgroup,
	}, time.Since(began)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// first waits for each of several steps, but for no longer than until something fails.
func first(ctx context.Context, failed <-chan error, limit time.Duration, steps ...<-chan error) error {
	timeout := time.After(limit)
	for _, step := range steps {
		select {
		case err := <-step:
			if err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("stopped before it was ready: %w", context.Cause(ctx))
		case <-timeout:
			return fmt.Errorf("not ready after %s", limit)
		}
	}
	return nil
}

// namespaces is the node's first process.
type namespaces struct {
	pid        int
	containers <-chan error
	proceed    func() error
}

// startNamespaces starts the first process in namespaces of its own. stop ends it, and with it everything in there.
func startNamespaces(s settings, failed chan<- error) (inside namespaces, stop func(), err error) {
	stepsReader, stepsWriter, err := os.Pipe()
	if err != nil {
		return inside, nil, err
	}
	progressReader, progressWriter, err := os.Pipe()
	if err != nil {
		return inside, nil, err
	}
	cmd := s.self("init")
	cmd.ExtraFiles = []*os.File{stepsReader, progressWriter}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		Setpgid:    true,
	}
	log, err := os.OpenFile(s.path("node.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return inside, nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return inside, nil, err
	}
	if err := cmd.Start(); err != nil {
		return inside, nil, fmt.Errorf("namespaces: %w", err)
	}
	_ = stepsReader.Close()
	_ = progressWriter.Close()

	ended := make(chan struct{})
	go func() {
		err := cmd.Wait()
		close(ended)
		failed <- fmt.Errorf("the node ended: %v: %s", err, end(s.path("node.log")))
	}()
	containers := make(chan error, 1)
	go func() {
		// At the end of the file the process has ended, which is an error of its own.
		defer progressReader.Close()
		if _, err := bufio.NewReader(progressReader).ReadString('\n'); err == nil {
			containers <- nil
		}
	}()
	inside = namespaces{pid: cmd.Process.Pid, containers: containers, proceed: func() error {
		_, err := stepsWriter.WriteString("kubelet\n")
		return err
	}}
	return inside, func() {
		_ = lifeline.Close()
		_ = cmd.Process.Kill()
		<-ended
	}, nil
}

// connect lays the ways between the node's network and the machine's.
func (inside namespaces) connect(o options, c controlPlane, kubelet net.Listener, kubeletPort int) error {
	network, err := enterNetwork(inside.pid)
	if err != nil {
		return fmt.Errorf("network of the node: %w", err)
	}
	go forward(kubelet, network.dial, fmt.Sprintf("127.0.0.1:%d", kubeletPort))
	ways := map[string]string{
		c.address:          c.address,
		serviceIP + ":443": c.address,
	}
	for _, port := range o.forward {
		ways[fmt.Sprintf("%s:%d", nodeIP, port)] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	for from, to := range ways {
		listener, err := network.listen(from)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		go forward(listener, dialOutside, to)
	}
	names, err := do(network, func() (net.PacketConn, error) { return net.ListenPacket("udp4", dnsIP+":53") })
	if err != nil {
		return fmt.Errorf("%s: %w", dnsIP, err)
	}
	go serveNames(names)
	return nil
}

func (o options) report(r ready, after time.Duration) error {
	if o.json {
		line, err := json.Marshal(r)
		if err == nil {
			fmt.Println(string(line))
		}
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf(`The node is ready after %.1f s. ^C ends it and removes everything.
  export KUBECONFIG=%s
  %s get nodes
  %s import %s target/image/oci localhost/zitadel-secret-operator:VERSION
Logs are in %s.
`, after.Seconds(), r.Kubeconfig, filepath.Join(filepath.Dir(o.program), "kubectl"), self, r.DataDir, r.DataDir)
	return nil
}

// startJanitor starts what removes cgroups and data when its standard input ends, and so even when this process is killed. Not a member of
// this process group, so that ^C does not reach it. removed lets it begin, and waits for its end.
func startJanitor(cgroup, dir string) (removed func(), err error) {
	janitor := exec.Command("/bin/sh", "-c", janitorScript, "sh", cgroup, dir)
	janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := janitor.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := janitor.Start(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		_ = lifeline.Close()
		_ = janitor.Wait()
	}), nil
}

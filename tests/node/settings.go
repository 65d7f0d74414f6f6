package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// nodeIP is the node's address on the bridge of its Pods.
	nodeIP  = "10.97.0.1"
	podCIDR = nodeIP + "/24"
	podNet  = "10.97.0.0/24"
	// serviceIP is the API server's, as tests/controlplane has it in its certificate.
	serviceIP  = "10.96.0.1"
	dnsIP      = "10.96.0.10"
	pauseImage = "localhost/pause:1"
)

// settings is what the processes of one node know of it.
type settings struct {
	Name string `json:"name"`
	// Dir is the data directory.
	Dir string `json:"dir"`
	// Cgroup is the name of the Pods' cgroup under each controller.
	Cgroup string `json:"cgroup"`
	// Programs is where this program, containerd, runc and the network plugins are.
	Programs    string `json:"programs"`
	KubeletPort int    `json:"kubeletPort"`
	// Join: another node has scheduler and controllers.
	Join bool `json:"join"`
}

func (s settings) path(name string) string    { return filepath.Join(s.Dir, name) }
func (s settings) program(name string) string { return filepath.Join(s.Programs, name) }
func (s settings) socket() string             { return s.path("containerd.sock") }

func (s settings) kubeconfig(name string) string { return s.path(name + ".kubeconfig") }

// self is a command of this program that gets the settings.
func (s settings) self(command string) *exec.Cmd {
	content, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return exec.Command(s.program("node"), command, string(content))
}

// start starts a program that logs to a file named after it. failed gets a message when it ends.
func (s settings) start(name string, cmd *exec.Cmd, failed chan<- error) error {
	path := s.path(name + ".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	go func() { failed <- fmt.Errorf("%s ended: %v; its log ends with:\n%s", name, cmd.Wait(), end(path)) }()
	return nil
}

// end is the end of a log: the file is removed with the node.
func end(path string) []byte {
	content, _ := os.ReadFile(path)
	return content[max(0, len(content)-2000):]
}

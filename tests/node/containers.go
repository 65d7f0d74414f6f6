package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// startContainerd starts containerd and gives it the image that each Pod needs.
func startContainerd(s settings, failed chan<- error) error {
	if err := os.MkdirAll(s.path("cni"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("cni/node.conflist"), []byte(networkConfig), 0o600); err != nil {
		return err
	}
	config := s.path("containerd.toml")
	text := fmt.Sprintf(containerdConfig, s.path("containerd"), s.socket(), s.program("runc"), s.Programs, s.path("cni"), pauseImage)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	ended := make(chan error, 1)
	if err := s.start("containerd", exec.Command(s.program("containerd"), "--config", config), ended); err != nil {
		return err
	}
	if err := until("containerd serves", ended, func() bool {
		connection, err := net.Dial("unix", s.socket())
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}); err != nil {
		return err
	}
	go func() { failed <- <-ended }()
	pause := s.path("pause.tar")
	if err := pack(pause, s.program("pause"), nil); err != nil {
		return err
	}
	return importImage(s.Dir, pause, pauseImage)
}

// restrict_oom_score_adj: otherwise runc needs CAP_SYS_RESOURCE, and says "can't get final child's PID" where it is missing.
const containerdConfig = `version = 3
root = %q
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = %q
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = %q
      SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%q]
    conf_dir = %q
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q
`

const networkConfig = `{
  "cniVersion": "0.4.0",
  "name": "node",
  "plugins": [{
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": true,
    "hairpinMode": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "` + podNet + `"}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`

// importImage gives a node the image in an OCI layout. The tar format hides whether it was a directory.
func importImage(dir, layout, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	info, err := os.Stat(layout)
	if err != nil {
		return err
	}
	ctr := exec.Command(filepath.Join(filepath.Dir(self), "ctr"), "--address", filepath.Join(dir, "containerd.sock"), "--namespace", "k8s.io",
		"images", "import", "--index-name", name, "-")
	if info.IsDir() {
		tar := exec.Command("tar", "--create", "--directory", layout, ".")
		tar.Stderr = os.Stderr
		if ctr.Stdin, err = tar.StdoutPipe(); err != nil {
			return err
		}
		if err := tar.Start(); err != nil {
			return err
		}
		defer func() { _ = tar.Wait() }()
	} else {
		file, err := os.Open(layout)
		if err != nil {
			return err
		}
		defer file.Close()
		ctr.Stdin = file
	}
	if output, err := ctr.CombinedOutput(); err != nil {
		return fmt.Errorf("import of %s: %w: %s", layout, err, output)
	}
	return nil
}

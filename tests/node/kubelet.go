package main

import (
	"os"
	"os/exec"
)

// startKubelet starts the kubelet with the defaults of Kubernetes but for where things are, and for limits of the disk, which is
// the machine's.
func startKubelet(s settings, failed chan<- error) error {
	resolv := s.path("resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+dnsIP+"\n"), 0o644); err != nil {
		return err
	}
	config := s.path("kubelet.json")
	if err := os.WriteFile(config, encode(object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		// The API server comes from outside, through a forwarder, and without a certificate.
		"address":        "127.0.0.1",
		"port":           s.KubeletPort,
		"authentication": object{"anonymous": object{"enabled": true}, "webhook": object{"enabled": false}},
		"authorization":  object{"mode": "AlwaysAllow"},

		"containerRuntimeEndpoint":      "unix://" + s.socket(),
		"cgroupDriver":                  "cgroupfs",
		"cgroupRoot":                    "/" + s.Cgroup,
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"localStorageCapacityIsolation": false,
		"evictionHard":                  object{"memory.available": "50Mi"},
		"imageGCHighThresholdPercent":   100,
		"imageGCLowThresholdPercent":    99,
		"clusterDNS":                    []string{dnsIP},
		"clusterDomain":                 "cluster.local",
		"resolvConf":                    resolv,
		"podLogsDir":                    s.path("pods"),
		"healthzPort":                   0,
		"enableDebuggingHandlers":       true,
		"serializeImagePulls":           true,
		"makeIPTablesUtilChains":        false,
	}), 0o600); err != nil {
		return err
	}
	return s.start("kubelet", exec.Command(s.program("node"), "kubelet", "--config="+config, "--kubeconfig="+s.kubeconfig("kubelet"),
		"--hostname-override="+s.Name, "--node-ip="+nodeIP, "--cert-dir="+s.path("kubelet-certificates")), failed)
}

func schedulerCommand(s settings) *exec.Cmd {
	// One of it, so it needs no Lease, and need not end when it loses it.
	return exec.Command(s.program("node"), "scheduler", "--kubeconfig="+s.kubeconfig("scheduler"), "--leader-elect=false",
		"--authentication-kubeconfig="+s.kubeconfig("scheduler"), "--authorization-kubeconfig="+s.kubeconfig("scheduler"),
		"--authentication-skip-lookup", "--bind-address=127.0.0.1", "--secure-port=0")
}

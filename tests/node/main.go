// node is a Kubernetes node for tests: kubelet, scheduler and containerd in namespaces of their own, on the control plane of
// tests/controlplane.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/component-base/version"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	// What the node starts of itself: see start.
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "kubelet":
			command := kubelet.NewKubeletCommand(context.Background())
			command.SetArgs(os.Args[2:])
			os.Exit(cli.Run(command))
		case "scheduler":
			command := scheduler.NewSchedulerCommand()
			command.SetArgs(os.Args[2:])
			os.Exit(cli.Run(command))
		}
	}
	root := &cobra.Command{
		Use:           "node",
		Short:         "A Kubernetes node for tests",
		Version:       version.Get().GitVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), importCommand(), packCommand(),
		internal("init", initNamespaces), internal("supervise", supervise), internal("controllers", runControllers))
	root.CompletionOptions.DisableDefaultCmd = true
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func upCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the node until SIGTERM or SIGINT",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return up(o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.controlplane, "controlplane", "", "data directory of a running control plane; without it, the node starts one of its own")
	f.StringVar(&o.program, "controlplane-program", "", "the program controlplane (default ../controlplane/controlplane beside this program)")
	f.StringVar(&o.name, "name", "localhost", "name of the node: localhost, or for a further one an address such as 127.0.0.2")
	f.BoolVar(&o.join, "join", false, "start neither scheduler nor controllers: another node of this control plane has them")
	f.IntSliceVar(&o.forward, "forward", nil, "port on which Pods reach, at "+nodeIP+", what listens on 127.0.0.1 outside; may be repeated")
	f.BoolVar(&o.json, "json", false, "print one line of JSON when it is ready, instead of how to use it")
	f.BoolVar(&o.exitOnStdinClose, "exit-on-stdin-close", false, "stop when standard input ends")
	f.DurationVar(&o.startTimeout, "start-timeout", 2*time.Minute, "give up when not ready by then")
	return cmd
}

func importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import DATA-DIR LAYOUT NAME",
		Short: "Give a running node the image in an OCI layout (a directory or a tar file) under a name",
		Args:  cobra.ExactArgs(3),
		RunE:  func(_ *cobra.Command, args []string) error { return importImage(args[0], args[1], args[2]) },
	}
}

func packCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pack FILE PROGRAM [ARGUMENT...]",
		Short: "Write an OCI image (a tar file) of a program of this machine and the libraries it is linked with",
		Args:  cobra.MinimumNArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return pack(args[0], args[1], args[2:]) },
	}
}

// internal is a command that the node starts of itself, with its settings as JSON.
func internal(name string, run func(settings) error) *cobra.Command {
	return &cobra.Command{
		Use:    name + " SETTINGS",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var s settings
			if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
				return err
			}
			return run(s)
		},
	}
}

// controlplane is a Kubernetes control plane for tests in one process: etcd, kube-apiserver and a few controllers of
// kube-controller-manager, listening on loopback only. It is kubectl as well.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		runKubectl(os.Args)
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "kubectl" {
		runKubectl(append([]string{"kubectl"}, os.Args[2:]...))
		return
	}
	root := &cobra.Command{
		Use:           "controlplane",
		Short:         "A Kubernetes control plane for tests in one process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(upCommand(), kubeconfigCommand(), versionCommand(), &cobra.Command{
		Use:   "kubectl",
		Short: "kubectl " + version.Get().GitVersion + "; also what this binary is when it is called by the name kubectl",
		Run:   func(*cobra.Command, []string) {},
	})
	root.CompletionOptions.DisableDefaultCmd = true
	stderr := os.Stderr
	if err := root.Execute(); err != nil {
		fmt.Fprintln(stderr, "controlplane:", err)
		os.Exit(1)
	}
}

// runKubectl does what the main function of cmd/kubectl does.
func runKubectl(args []string) {
	os.Args = args
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) //nolint:errcheck
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func upCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the control plane until SIGTERM, SIGINT or the end of the parent",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return up(o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.dataDir, "data-dir", "", "where everything is kept; a temporary directory, removed at the end, if not given")
	f.BoolVar(&o.fsync, "fsync", false, "let etcd wait for the disk on every write")
	f.BoolVar(&o.audit, "audit", false, "write an audit log (level Metadata) to audit.log in the data directory")
	f.StringVar(&o.auditLog, "audit-log", "", "write the audit log to this file")
	f.IntVar(&o.etcdPort, "etcd-port", 0, "port of etcd; 0 takes the one used before in the data directory, or a free one")
	f.IntVar(&o.apiserverPort, "apiserver-port", 0, "port of kube-apiserver; 0 as above")
	f.IntVar(&o.parentPID, "parent-pid", 0, "stop when this process ends")
	f.BoolVar(&o.exitOnStdinClose, "exit-on-stdin-close", false, "stop when standard input ends")
	f.DurationVar(&o.gcSync, "gc-sync", 2*time.Second, "how often the garbage collector looks for new resource types (30s in a real cluster)")
	f.DurationVar(&o.startTimeout, "start-timeout", 90*time.Second, "give up when not ready by then")
	return cmd
}

func kubeconfigCommand() *cobra.Command {
	var dir, user string
	var groups []string
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Sign a client certificate for any user and print a kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			content, err := kubeconfigFor(dir, user, groups)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(content)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "data-dir", "", "data directory of the control plane")
	f.StringVar(&user, "user", "", "user name")
	f.StringArrayVar(&groups, "group", nil, "group of the user; may be repeated")
	_ = cmd.MarkFlagRequired("data-dir")
	_ = cmd.MarkFlagRequired("user")
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions inside",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			v := version.Get()
			fmt.Fprintf(cmd.OutOrStdout(), "Kubernetes %s\netcd v%s\n%s %s\n", v.GitVersion, etcdversion.Version, v.GoVersion, v.Platform)
		},
	}
}

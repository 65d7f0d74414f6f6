package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// Every request, watches included, once when it is answered; a watch also when it begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// startAPIServer runs kube-apiserver until ctx ends; the function it returns waits for the end, for a short while.
func startAPIServer(ctx context.Context, o options, p *pki, s state, listener net.Listener, failed chan<- error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := runAPIServer(ctx, o, p, s, listener)
		if ctx.Err() == nil {
			failed <- fmt.Errorf("kube-apiserver ended: %w", orUnknown(err))
		}
	}()
	return func() {
		cancel()
		within(500*time.Millisecond, func() { <-ended })
	}
}

// runAPIServer does what the command in cmd/kube-apiserver does, apart from signals and log settings.
func runAPIServer(ctx context.Context, o options, p *pki, s state, listener net.Listener) error {
	args := []string{
		"--etcd-servers=" + s.etcd(),
		"--etcd-count-metric-poll-period=0",
		"--etcd-db-metric-poll-interval=0",
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", s.APIServerPort),
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange,
		"--cert-dir=" + p.dir,
		"--tls-cert-file=" + p.path("apiserver.crt"),
		"--tls-private-key-file=" + p.path("apiserver.key"),
		"--client-ca-file=" + p.path("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + p.path("service-account.key"),
		"--service-account-key-file=" + p.path("service-account.key"),
		"--allow-privileged=true",
		"--profiling=false",
		// Tests measure throughput: no queues of the server's own.
		"--enable-priority-and-fairness=false",
		"--max-requests-inflight=4000",
		"--max-mutating-requests-inflight=2000",
		// One server needs neither a lease that tells it from others nor a way to others of another version.
		"--feature-gates=APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false",
	}
	if o.auditLog != "" {
		policy := filepath.Join(o.dataDir, "audit-policy.yaml")
		if err := writeFile(policy, []byte(auditPolicy)); err != nil {
			return err
		}
		// Blocking, so that a test finds the line of every request it has the answer to; no rotation under its feet.
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+o.auditLog,
			"--audit-log-mode=blocking", "--audit-log-maxsize=100000")
	}
	opts := apiserveroptions.NewServerRunOptions()
	if err := parse("kube-apiserver", opts.Flags(), args); err != nil {
		return err
	}
	opts.SecureServing.Listener = listener
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := opts.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	return app.Run(ctx, completed)
}

func parse(name string, sets cliflag.NamedFlagSets, args []string) error {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	return flags.Parse(args)
}

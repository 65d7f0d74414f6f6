// Package drift asks the engines of Argo CD and Flux what they make of a workload that the operator has restarted: whether it differs
// from Git, and whether applying it again takes the operator's annotation away. It needs the control plane of tests/controlplane.
package drift

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/fluxcd/pkg/ssa"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cluster is an API server, and what Argo CD and Flux use it with.
type cluster struct {
	client client.Client
	rest   rest.Interface
	// argo applies as a sync of Argo CD does, and dryRun as its server-side diff does.
	argo   kube.ResourceOperations
	dryRun diff.KubeApplier
	schema *managedfields.GvkParser
	flux   *ssa.ResourceManager
	// kubeconfig is for kubectl.
	kubeconfig string
}

var shared cluster

func TestMain(m *testing.M) {
	code, err := withCluster(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// withCluster runs the tests on a control plane that ends with them, however they end.
func withCluster(run func() int) (int, error) {
	binary := filepath.Join("..", "..", "target", "controlplane", "controlplane")
	if _, err := os.Stat(binary); err != nil {
		return 0, fmt.Errorf("%w: make controlplane builds it", err)
	}
	command := exec.Command(binary, "up", "--exit-on-stdin-close")
	stdin, err := command.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = stdin.Close()
		_ = command.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return 0, fmt.Errorf("the control plane is not ready: %w", err)
	}
	var ready struct{ Kubeconfig string }
	if err := json.Unmarshal(line, &ready); err != nil {
		return 0, err
	}
	if shared, err = connect(ready.Kubeconfig); err != nil {
		return 0, err
	}
	return run(), nil
}

func connect(kubeconfig string) (cluster, error) {
	c := cluster{kubeconfig: kubeconfig}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return c, err
	}
	config.QPS, config.Burst = 1000, 1000
	if c.client, err = client.New(config, client.Options{}); err != nil {
		return c, err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return c, err
	}
	c.rest = clients.Discovery().RESTClient()
	kubectl := kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	// They read their own kubeconfig files for as long as the tests run.
	if c.argo, _, err = kubectl.ManageResources(config); err != nil {
		return c, err
	}
	if c.dryRun, _, err = kubectl.ManageServerSideDiffDryRuns(config); err != nil {
		return c, err
	}
	if _, c.schema, err = kubectl.LoadOpenAPISchema(config); err != nil {
		return c, err
	}
	c.flux = ssa.NewResourceManager(c.client, nil, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
	return c, nil
}

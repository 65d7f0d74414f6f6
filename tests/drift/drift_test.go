package drift

import (
	"maps"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/fluxcd/pkg/ssa"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// tool is a GitOps tool with some of its settings.
type tool struct {
	name string
	// sync applies what is in Git.
	sync func(*testing.T, *unstructured.Unstructured)
	// drifts is whether the cluster differs from Git.
	drifts func(*testing.T, *unstructured.Unstructured) bool
}

// differs is whether the cluster differs from Git while no controller writes what it sees of the workload.
func (tool tool) differs(t *testing.T, git *unstructured.Unstructured) bool {
	t.Helper()
	for {
		before := live(t, git).GetResourceVersion()
		drifts := tool.drifts(t, git)
		if live(t, git).GetResourceVersion() == before {
			return drifts
		}
	}
}

// The field manager with which Argo CD applies on the server's side.
const argoManager = "argocd-controller"

var tools = []tool{
	{"Argo CD", argoSync(false), argoDrifts()},
	{"Argo CD, ServerSideApply=true", argoSync(true), argoDrifts(diff.WithStructuredMergeDiff(true))},
	{"Argo CD, ServerSideDiff=true", argoSync(false), argoDrifts(diff.WithServerSideDiff(true))},
	{"Argo CD, both", argoSync(true), argoDrifts(diff.WithServerSideDiff(true))},
	{"Argo CD, both and IncludeMutationWebhook=true", argoSync(true), argoDrifts(diff.WithServerSideDiff(true), diff.WithIgnoreMutationWebhook(false))},
	{"Flux", fluxSync(false), fluxDrifts},
	{"Flux, force: true", fluxSync(true), fluxDrifts},
}

func argoSync(serverSide bool) func(*testing.T, *unstructured.Unstructured) {
	return func(t *testing.T, git *unstructured.Unstructured) {
		t.Helper()
		_, err := shared.argo.ApplyResource(t.Context(), git, cmdutil.DryRunNone, false, false, serverSide, argoManager)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func argoDrifts(options ...diff.Option) func(*testing.T, *unstructured.Unstructured) bool {
	return func(t *testing.T, git *unstructured.Unstructured) bool {
		t.Helper()
		options := append([]diff.Option{
			diff.WithLogr(logr.Discard()), diff.WithManager(argoManager), diff.WithGVKParser(shared.schema),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(shared.dryRun)),
		}, options...)
		result, err := diff.Diff(git, live(t, git), options...)
		if err != nil {
			t.Fatal(err)
		}
		return result.Modified
	}
}

// owned returns what is in Git with the labels of a Kustomization.
func owned(git *unstructured.Unstructured) *unstructured.Unstructured {
	git = git.DeepCopy()
	shared.flux.SetOwnerLabels([]*unstructured.Unstructured{git}, "orders", "flux-system")
	return git
}

// fluxSync applies with the options of kustomize-controller (internal/controller/kustomization_controller.go).
func fluxSync(force bool) func(*testing.T, *unstructured.Unstructured) {
	options := ssa.DefaultApplyOptions()
	options.Force = force
	options.Cleanup.Annotations = []string{corev1.LastAppliedConfigAnnotation}
	options.Cleanup.FieldManagers = []ssa.FieldManager{
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "kustomize-controller", OperationType: metav1.ManagedFieldsOperationUpdate},
	}
	return func(t *testing.T, git *unstructured.Unstructured) {
		t.Helper()
		if _, err := shared.flux.ApplyAll(t.Context(), []*unstructured.Unstructured{owned(git)}, options); err != nil {
			t.Fatal(err)
		}
	}
}

func fluxDrifts(t *testing.T, git *unstructured.Unstructured) bool {
	t.Helper()
	change, _, _, err := shared.flux.Diff(t.Context(), owned(git), ssa.DefaultDiffOptions())
	if err != nil {
		t.Fatal(err)
	}
	return change.Action != ssa.UnchangedAction
}

// forEach runs a test with every tool, kind of workload, and with and without annotations of the Pod template in Git.
func forEach(t *testing.T, test func(t *testing.T, tool tool, kind string, own map[string]string)) {
	t.Helper()
	for _, tool := range tools {
		for _, kind := range kinds {
			for name, own := range map[string]map[string]string{"": nil, " with annotations": {"team": "orders"}} {
				t.Run(tool.name+": "+kind+name, func(t *testing.T) {
					t.Parallel()
					test(t, tool, kind, own)
				})
			}
		}
	}
}

func TestAWorkloadThatTheOperatorRestartedIsAsInGitAndStaysSoInTheNextSync(t *testing.T) {
	forEach(t, func(t *testing.T, tool tool, kind string, own map[string]string) {
		git := inGit(namespace(t), kind, "registry.example/api:1", own)
		tool.sync(t, git)
		if tool.differs(t, git) {
			t.Fatal("it differs before anything happens")
		}
		key, value := restart(t, git)
		if tool.differs(t, git) {
			t.Error("the restart is a difference")
		}
		restarted := live(t, git).GetGeneration()
		tool.sync(t, git)
		if now := live(t, git).GetGeneration(); now != restarted {
			t.Errorf("the next sync changes it, and replaces its Pods: generation %d, then %d", restarted, now)
		}
		other := inGit(git.GetNamespace(), kind, "registry.example/api:2", own)
		if !tool.differs(t, other) {
			t.Error("another image in Git is no difference")
		}
		tool.sync(t, other)
		expected := map[string]string{key: value}
		maps.Copy(expected, own)
		if found := annotations(t, git); !maps.Equal(found, expected) {
			t.Errorf("after a sync of another image: %v, not %v", found, expected)
		}
		if tool.differs(t, other) {
			t.Error("it differs after a sync of another image")
		}
	})
}

func TestARestartByThePluginStaysToo(t *testing.T) {
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			t.Parallel()
			git := inGit(namespace(t), "Deployment", "registry.example/api:1", nil)
			tool.sync(t, git)
			key, value := restartAs(t, plugin(t), git)
			if tool.differs(t, git) {
				t.Error("the restart is a difference")
			}
			tool.sync(t, git)
			if found := annotations(t, git); !maps.Equal(found, map[string]string{key: value}) {
				t.Errorf("%v", found)
			}
		})
	}
}

// What Git says of the annotations is compared: otherwise nothing above would mean anything.
func TestAnAnnotationOfGitThatAnotherActorChangedIsADifference(t *testing.T) {
	forEach(t, func(t *testing.T, tool tool, kind string, own map[string]string) {
		if own == nil {
			return
		}
		git := inGit(namespace(t), kind, "registry.example/api:1", own)
		tool.sync(t, git)
		restart(t, git)
		kubectl(t, "patch", kind, "api", "--namespace", git.GetNamespace(), "--type", "merge", "--patch",
			`{"spec": {"template": {"metadata": {"annotations": {"team": "another"}}}}}`)
		if !tool.differs(t, git) {
			t.Error("it is as in Git")
		}
	})
}

// The same check on what a sync does take away: fields of kubectl from Flux, and everything with Replace=true of Argo CD.
func TestASyncThatTakesAnAnnotationAwayIsNoticed(t *testing.T) {
	t.Run("Flux and kubectl rollout restart", func(t *testing.T) {
		git := inGit(namespace(t), "Deployment", "registry.example/api:1", nil)
		sync := fluxSync(false)
		sync(t, git)
		key, value := restart(t, git)
		kubectl(t, "rollout", "restart", "deployment/api", "--namespace", git.GetNamespace())
		if len(annotations(t, git)) != 2 {
			t.Fatal("kubectl has not restarted it")
		}
		sync(t, git)
		if found := annotations(t, git); !maps.Equal(found, map[string]string{key: value}) {
			t.Errorf("%v", found)
		}
	})
	t.Run("Argo CD with Replace=true", func(t *testing.T) {
		git := inGit(namespace(t), "Deployment", "registry.example/api:1", nil)
		argoSync(false)(t, git)
		restart(t, git)
		for {
			_, err := shared.argo.ReplaceResource(t.Context(), git, cmdutil.DryRunNone, false)
			if err == nil {
				break
			}
			// A controller has written its status meanwhile.
			if !strings.Contains(err.Error(), "the object has been modified") {
				t.Fatal(err)
			}
		}
		if found := annotations(t, git); len(found) != 0 {
			t.Errorf("%v", found)
		}
	})
}

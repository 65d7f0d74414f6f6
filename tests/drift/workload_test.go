package drift

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kinds are the workloads that the operator restarts.
var kinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

// namespace returns a new namespace.
func namespace(t *testing.T) string {
	t.Helper()
	object := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "drift-"}}
	if err := shared.client.Create(t.Context(), &object); err != nil {
		t.Fatal(err)
	}
	return object.Name
}

// inGit returns a workload as it is in Git, with these annotations of its Pod template.
func inGit(namespace, kind, image string, annotations map[string]string) *unstructured.Unstructured {
	labels := map[string]any{"app": "api"}
	template := map[string]any{"labels": labels}
	if annotations != nil {
		of := map[string]any{}
		for key, value := range annotations {
			of[key] = value
		}
		template["annotations"] = of
	}
	container := map[string]any{"name": "api", "image": image, "envFrom": []any{
		map[string]any{"secretRef": map[string]any{"name": "api-zitadel"}},
	}}
	spec := map[string]any{
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": template, "spec": map[string]any{"containers": []any{container}}},
	}
	if kind == "StatefulSet" {
		spec["serviceName"] = "api"
	}
	return (&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": "api", "namespace": namespace},
	}}).DeepCopy()
}

// live returns an object as the API server has it.
func live(t *testing.T, of *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(of.GroupVersionKind())
	if err := shared.client.Get(t.Context(), client.ObjectKeyFromObject(of), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// annotations returns those of the Pod template of a workload as the API server has it.
func annotations(t *testing.T, of *unstructured.Unstructured) map[string]string {
	t.Helper()
	found, _, err := unstructured.NestedStringMap(live(t, of).Object, "spec", "template", "metadata", "annotations")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// request is what the operator sends to restart a workload, as its unit test has it.
type request struct {
	Method, Path, ContentType string
	Body                      json.RawMessage
}

// operator is the field manager of the operator, as its request has it.
const operator = "zitadel-secret-operator"

// plugin returns the field manager of the plugin, which sends the same request.
func plugin(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../src/plugin/cluster.rs")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`FIELD_MANAGER: &str = "([^"]+)"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the plugin has no field manager")
	}
	return string(found[1])
}

// restart sends what the operator sends, and returns the annotation that it sets.
func restart(t *testing.T, workload *unstructured.Unstructured) (key, value string) {
	t.Helper()
	return restartAs(t, operator, workload)
}

// restartAs does so with another field manager.
func restartAs(t *testing.T, manager string, workload *unstructured.Unstructured) (key, value string) {
	t.Helper()
	text, err := os.ReadFile("testdata/restart.json")
	if err != nil {
		t.Fatal(err)
	}
	before := live(t, workload)
	names := strings.NewReplacer("NAMESPACE", before.GetNamespace(), "UID", string(before.GetUID()),
		"deployments", strings.ToLower(before.GetKind())+"s")
	var sent request
	if err := json.Unmarshal([]byte(names.Replace(string(text))), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Method != "PATCH" || !strings.HasSuffix(sent.Path, "fieldManager="+operator) {
		t.Fatalf("%s %s", sent.Method, sent.Path)
	}
	sent.Path = strings.TrimSuffix(sent.Path, operator) + manager
	asked := shared.rest.Patch(types.PatchType(sent.ContentType)).RequestURI(sent.Path).Body([]byte(sent.Body))
	if err := asked.Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	if live(t, workload).GetGeneration() == before.GetGeneration() {
		t.Fatal("nothing was restarted")
	}
	for key, value := range annotations(t, workload) {
		if strings.HasPrefix(key, "zitadel-secrets.dev/rotation-") {
			return key, value
		}
	}
	t.Fatal("there is no annotation of the operator")
	return "", ""
}

// kubectl runs the kubectl of the control plane.
func kubectl(t *testing.T, arguments ...string) {
	t.Helper()
	binary := filepath.Join("..", "..", "target", "controlplane", "kubectl")
	command := exec.CommandContext(t.Context(), binary, append([]string{"--kubeconfig", shared.kubeconfig}, arguments...)...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

package rules

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/yaml"
)

// verdict is what each tool makes of an object.
type verdict struct {
	kstatus status.Status
	argo    string
	// flux is what the expressions in gitops/flux come to; of connections there are none.
	flux status.Status
}

// verdicts has every object in testdata/objects, which a test of the operator compares with what it writes.
var verdicts = map[string]verdict{
	"new":                  {status.InProgressStatus, "Progressing", status.InProgressStatus},
	"up-to-date":           {status.CurrentStatus, "Healthy", status.CurrentStatus},
	"awaiting-window":      {status.CurrentStatus, "Healthy", status.CurrentStatus},
	"catching-up":          {status.CurrentStatus, "Healthy", status.CurrentStatus},
	"overdue":              {status.CurrentStatus, "Healthy", status.CurrentStatus},
	"suspended":            {status.CurrentStatus, "Suspended", status.CurrentStatus},
	"suspended-at-once":    {status.InProgressStatus, "Suspended", status.InProgressStatus},
	"rotating":             {status.InProgressStatus, "Progressing", status.InProgressStatus},
	"held":                 {status.FailedStatus, "Degraded", status.FailedStatus},
	"zitadel-down":         {status.InProgressStatus, "Progressing", status.InProgressStatus},
	"due-and-zitadel-down": {status.InProgressStatus, "Healthy", status.CurrentStatus},
	"connection-down":      {status.InProgressStatus, "Healthy", status.CurrentStatus},
	"not-granted":          {status.FailedStatus, "Degraded", status.FailedStatus},
	"invalid-spec":         {status.FailedStatus, "Degraded", status.FailedStatus},
	"secret-missing":       {status.FailedStatus, "Degraded", status.FailedStatus},
	"rotated-elsewhere":    {status.FailedStatus, "Degraded", status.FailedStatus},
	"breaker-open":         {status.FailedStatus, "Degraded", status.FailedStatus},
	"spec-changed":         {status.InProgressStatus, "Progressing", status.InProgressStatus},
	"standby-overlap":      {status.CurrentStatus, "Healthy", status.CurrentStatus},
	"standby-retired":      {status.CurrentStatus, "Healthy", status.CurrentStatus},
	// The stored pair is good, but the other one cannot be used: told at once, and a matter for a person when it is needed.
	"standby-not-ready": {status.InProgressStatus, "Healthy", status.CurrentStatus},
	"standby-needed":    {status.FailedStatus, "Degraded", status.FailedStatus},
	// Argo CD calls what is being deleted Progressing before it asks a script.
	"deleted":              {status.TerminatingStatus, "", ""},
	"connection-new":       {status.InProgressStatus, "Progressing", ""},
	"connection-connected": {status.CurrentStatus, "Healthy", ""},
	"connection-rejected":  {status.InProgressStatus, "Progressing", ""},
	"connection-missing":   {status.FailedStatus, "Degraded", ""},
}

// objects returns the objects that the operator wrote.
func objects(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("testdata/objects/*.json")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		object := unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".json")] = object.Object
	}
	for name := range verdicts {
		if found[name] == nil {
			t.Errorf("there is no testdata/objects/%s.json", name)
		}
	}
	for name := range found {
		if _, expected := verdicts[name]; !expected {
			t.Errorf("no verdict on %s is expected", name)
		}
	}
	return found
}

func TestKstatusOfEveryState(t *testing.T) {
	for name, object := range objects(t) {
		result, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if result.Status != verdicts[name].kstatus {
			t.Errorf("%s is %s (%s), not %s", name, result.Status, result.Message, verdicts[name].kstatus)
		}
	}
}

// The page names every reason with which an object is at rest.
func TestThePageNamesTheReasonsOfWhatIsCurrent(t *testing.T) {
	page := read(t, "docs/how-to/gitops.md")
	for name, object := range objects(t) {
		if object["kind"] != "ApiAppSecret" || verdicts[name].kstatus != status.CurrentStatus || verdicts[name].argo != "Healthy" {
			continue
		}
		conditions, _, _ := unstructured.NestedSlice(object, "status", "conditions")
		for _, condition := range conditions {
			condition := condition.(map[string]any)
			if reason := condition["reason"].(string); condition["type"] == "Ready" && !strings.Contains(page, "`"+reason+"`") {
				t.Errorf("%s is not told of: %s", reason, name)
			}
		}
	}
}

// manifests returns the documents of a file of the repository.
func manifests(t *testing.T, name string) []string {
	t.Helper()
	return strings.Split(read(t, name), "\n---\n")
}

func TestFluxWaitsAndGoesOnAsTheExampleSays(t *testing.T) {
	documents := manifests(t, "gitops/flux/kustomizations.yaml")
	var kustomizations []kustomizev1.Kustomization
	for _, document := range documents {
		var kustomization kustomizev1.Kustomization
		if err := yaml.UnmarshalStrict([]byte(document), &kustomization); err != nil {
			t.Fatal(err)
		}
		kustomizations = append(kustomizations, kustomization)
	}
	first, second := kustomizations[0], kustomizations[1]
	if second.Spec.DependsOn[0].Name != first.Name || !first.Spec.Wait {
		t.Errorf("%s does not wait for %s", second.Name, first.Name)
	}
	check := first.Spec.HealthCheckExprs[0]
	for name, object := range objects(t) {
		expected := verdicts[name].flux
		if expected == "" {
			continue
		}
		if object["kind"] != check.Kind || object["apiVersion"] != check.APIVersion {
			t.Errorf("the expressions are not of %s", name)
		}
		if got := fluxStatus(t, object, check.InProgress, check.Failed, check.Current); got != expected {
			t.Errorf("%s is %s, not %s", name, got, expected)
		}
	}
}

// fluxStatus does what Flux does with health check expressions (RFC 0009, fluxcd/pkg/runtime/cel), in the same environment.
func fluxStatus(t *testing.T, object map[string]any, inProgress, failed, current string) status.Status {
	t.Helper()
	observed, there, _ := unstructured.NestedInt64(object, "status", "observedGeneration")
	if generation, _, _ := unstructured.NestedInt64(object, "metadata", "generation"); there && observed != generation {
		return status.InProgressStatus
	}
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		expression string
		status     status.Status
	}{{inProgress, status.InProgressStatus}, {failed, status.FailedStatus}, {current, status.CurrentStatus}} {
		if step.expression == "" {
			continue
		}
		parsed, issues := env.Parse(step.expression)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		program, err := env.Program(parsed)
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := program.Eval(object)
		if err != nil {
			t.Fatalf("%s: %v", step.expression, err)
		}
		if value.Value() == true {
			return step.status
		}
	}
	return status.InProgressStatus
}

// argoSettings returns the values of argocd-cm.yaml.
func argoSettings(t *testing.T) map[string]string {
	t.Helper()
	var config struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "gitops/argocd/argocd-cm.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config.Data
}

// argo runs a script as Argo CD does: with `obj`, with the libraries package, base and table, and of os only the clock.
func argo(t *testing.T, script string, object map[string]any) map[string]any {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.OsLibName, openClock},
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			t.Fatal(err)
		}
	}
	// Numbers come as JSON has them.
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	value, err := luajson.Decode(state, text)
	if err != nil {
		t.Fatal(err)
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	text, err = luajson.Encode(state.Get(-1))
	if err != nil {
		t.Fatal(err)
	}
	result := map[string]any{}
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return result
}

// openClock is os without what reaches files and processes.
func openClock(state *lua.LState) int {
	scratch := lua.NewState()
	defer scratch.Close()
	full := scratch.GetGlobal(lua.OsLibName).(*lua.LTable)
	clock := state.RegisterModule(lua.OsLibName, map[string]lua.LGFunction{
		"date": full.RawGetString("date").(*lua.LFunction).GFunction,
		"time": full.RawGetString("time").(*lua.LFunction).GFunction,
	})
	state.Push(clock)
	return 1
}

func TestArgoHealthOfEveryState(t *testing.T) {
	settings := argoSettings(t)
	for name, object := range objects(t) {
		expected := verdicts[name].argo
		if expected == "" {
			continue
		}
		script := settings["resource.customizations.health.zitadel-secrets.dev_"+object["kind"].(string)]
		if script == "" {
			t.Fatalf("there is no script for %s", object["kind"])
		}
		health := argo(t, script, object)
		if health["status"] != expected || health["message"] == "" {
			t.Errorf("%s is %v, not %s", name, health, expected)
		}
	}
}

// The objects of the other tests are ApiAppSecrets; an OidcAppSecret has the same conditions and triggers.
func TestBothKindsOfObjectsAreJudgedAndRotatedAlike(t *testing.T) {
	settings := argoSettings(t)
	for _, setting := range []string{"health", "actions"} {
		of := func(kind string) string {
			return settings["resource.customizations."+setting+".zitadel-secrets.dev_"+kind]
		}
		if api := of("ApiAppSecret"); api == "" || api != of("OidcAppSecret") {
			t.Errorf("%s differs", setting)
		}
	}
	checks := manifests(t, "gitops/flux/kustomizations.yaml")[0]
	_, checks, _ = strings.Cut(checks, "  healthCheckExprs:\n")
	api, oidc, _ := strings.Cut(checks[1:], "    - ")
	if api == "" || strings.TrimSpace(strings.ReplaceAll(oidc, "OidcAppSecret", "ApiAppSecret")) != strings.TrimSpace(strings.TrimPrefix(api, "   - ")) {
		t.Errorf("Flux judges them differently:\n%s\n%s", api, oidc)
	}
}

func TestArgoRotateSetsANewTriggerAndNothingElse(t *testing.T) {
	var action struct {
		Discovery   string `json:"discovery.lua"`
		Definitions []struct {
			Name   string `json:"name"`
			Action string `json:"action.lua"`
		} `json:"definitions"`
	}
	text := argoSettings(t)["resource.customizations.actions.zitadel-secrets.dev_ApiAppSecret"]
	if err := yaml.UnmarshalStrict([]byte(text), &action); err != nil {
		t.Fatal(err)
	}
	if len(action.Definitions) != 1 || action.Definitions[0].Name != "rotate" {
		t.Fatalf("%v", action)
	}
	// The pattern of spec.rotation.trigger in its CEL rule.
	accepted := regexp.MustCompile(`^[\x20-\x7e]{1,128}$`)
	if !strings.Contains(read(t, "crds/zitadel-secrets.dev_apiappsecrets.yaml"), `self.matches('^[\\x20-\\x7e]+$')`) {
		t.Error("the pattern of triggers has changed")
	}
	for name, object := range objects(t) {
		if object["kind"] != "ApiAppSecret" {
			continue
		}
		suspended, _, _ := unstructured.NestedBool(object, "spec", "suspend")
		rotate := argo(t, action.Discovery, object)["rotate"].(map[string]any)
		if rotate["disabled"] != suspended {
			t.Errorf("%s: %v", name, rotate)
		}
		changed := argo(t, action.Definitions[0].Action, object)
		before, _, _ := unstructured.NestedString(object, "spec", "rotation", "trigger")
		after, found, _ := unstructured.NestedString(changed, "spec", "rotation", "trigger")
		if !found || after == before || !accepted.MatchString(after) {
			t.Errorf("%s: %q", name, after)
		}
		for _, o := range []map[string]any{object, changed} {
			unstructured.RemoveNestedField(o, "spec", "rotation", "trigger")
			if rotation, _, _ := unstructured.NestedMap(o, "spec", "rotation"); len(rotation) == 0 {
				unstructured.RemoveNestedField(o, "spec", "rotation")
			}
		}
		want, _ := json.Marshal(object)
		got, _ := json.Marshal(changed)
		if !slices.Equal(want, got) {
			t.Errorf("%s was changed:\n%s\n%s", name, want, got)
		}
	}
}

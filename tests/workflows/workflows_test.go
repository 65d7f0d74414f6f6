// Package workflows checks what others run: the workflows of the repository's forge, and the Dockerfile. None of it is run here.
package workflows

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

const directory = "../../.github/workflows"

func files(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*.yaml"))
	if err != nil || len(paths) < 2 {
		t.Fatalf("%v: %v", paths, err)
	}
	found := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(text)
	}
	return found
}

// lint hands back what actionlint finds; scripts are checked only by what is built into it.
func lint(t *testing.T, path, text string) []*actionlint.Error {
	t.Helper()
	var printed bytes.Buffer
	linter, err := actionlint.NewLinter(&printed, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint(path, []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestActionlintFindsNothing(t *testing.T) {
	for path, text := range files(t) {
		for _, found := range lint(t, path, text) {
			t.Error(found)
		}
		// It does find something: a job that is needed and does not exist.
		damaged := strings.Replace(text, "    runs-on:", "    needs: nobody\n    runs-on:", 1)
		if len(lint(t, path, damaged)) == 0 {
			t.Errorf("%s: a job that needs a job that does not exist is not found", path)
		}
	}
}

func TestActionsAreNamedByCommit(t *testing.T) {
	pinned := regexp.MustCompile(`^uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	versions := map[string]string{}
	for path, text := range files(t) {
		for line := range strings.Lines(text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if !strings.HasPrefix(line, "uses:") {
				continue
			}
			if !pinned.MatchString(line) {
				t.Errorf("%s: %s", path, line)
				continue
			}
			action, version, _ := strings.Cut(line, "@")
			if known, there := versions[action]; there && known != version {
				t.Errorf("%s: %s is used as %s, too", path, line, known)
			}
			versions[action] = version
		}
	}
}

// What a pull request or a dependency could abuse.
func TestRightsAreFewAndTextsFromOutsideAreNotScripts(t *testing.T) {
	for path, text := range files(t) {
		if !strings.Contains(text, "\npermissions:\n  contents: read\n") {
			t.Errorf("%s: the rights of its jobs are not limited to reading", path)
		}
		if strings.Contains(text, "pull_request_target") {
			t.Errorf("%s: pull_request_target runs foreign code with rights", path)
		}
		if checkouts, kept := strings.Count(text, "actions/checkout@"), strings.Count(text, "persist-credentials: false"); checkouts != kept {
			t.Errorf("%s: %d of %d checkouts leave the token behind", path, checkouts-kept, checkouts)
		}
		for name, job := range jobs(text) {
			writes := strings.Contains(job, ": write")
			if writes != (filepath.Base(path) == "release.yaml" && name == "publish") {
				t.Errorf("%s: %s: it may write: %v", path, name, writes)
			}
		}
	}
}

// jobs are the texts of the jobs by their names.
func jobs(text string) map[string]string {
	_, text, _ = strings.Cut(text, "\njobs:\n")
	name, found := "", map[string]string{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			name = strings.TrimSuffix(strings.TrimSpace(line), ":")
		}
		found[name] += line
	}
	return found
}

// deploy/release.sh replaces a line of the values of the chart, reads two of the chart and one of Cargo.toml, and adds an annotation and the
// home to the chart.
func TestWhatTheReleaseLooksForIsThere(t *testing.T) {
	cargo, err := os.ReadFile("../../Cargo.toml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version = "(\d+\.\d+\.\d+)"$`).FindSubmatch(cargo)
	if version == nil {
		t.Fatal("Cargo.toml has no version")
	}
	for path, lines := range map[string][]string{
		"../../charts/zitadel-secret-operator/values.yaml": {"  repository: zitadel-secret-operator"},
		"../../charts/zitadel-secret-operator/Chart.yaml":  {"version: " + string(version[1]), "appVersion: " + string(version[1]), "annotations:"},
		"../../Cargo.toml": {string(version[0])},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if count := strings.Count("\n"+string(text), "\n"+line+"\n"); count != 1 {
				t.Errorf("%s: %q is there %d times", path, line, count)
			}
		}
	}
	chart, err := os.ReadFile("../../charts/zitadel-secret-operator/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`(?m)^(home|sources|maintainers):`).Match(chart) || !bytes.HasSuffix(chart, []byte("\n")) {
		t.Error("home, sources and maintainers cannot be appended to Chart.yaml")
	}
}

// Package rules tests what is shipped for other tools, with the engines of those tools: Prometheus' rules and parser,
// Argo CD's Lua, kstatus and CEL as Flux uses them.
package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	alertsFile    = "charts/zitadel-secret-operator/files/alerts.yaml"
	dashboardFile = "charts/zitadel-secret-operator/files/dashboard.json"
	referenceFile = "docs/reference/metrics.md"
	howToFile     = "docs/how-to/alerts.md"
)

// path is where a file of the repository is.
func path(name string) string { return filepath.Join("..", "..", filepath.FromSlash(name)) }

// read returns the text of a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exported returns the names of the labels of each metric, from the reference, which a test of the operator compares
// with what it exports.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram|info) \\| ([^|]*) \\|")
	label := regexp.MustCompile("`([a-z_]+)`")
	metrics := map[string][]string{}
	for _, found := range row.FindAllStringSubmatch(read(t, referenceFile), -1) {
		labels := []string{}
		for _, name := range label.FindAllStringSubmatch(found[3], -1) {
			labels = append(labels, name[1])
		}
		if found[2] != "histogram" {
			metrics[found[1]] = labels
			continue
		}
		for _, suffix := range []string{"_sum", "_count"} {
			metrics[found[1]+suffix] = labels
		}
		metrics[found[1]+"_bucket"] = append(labels, "le")
	}
	if len(metrics) < 20 {
		t.Fatalf("only %d metrics in %s", len(metrics), referenceFile)
	}
	return metrics
}

// anchors returns the headings of a page as mdBook and GitHub link to them.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, line := range strings.Split(read(t, page), "\n") {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			heading = strings.ToLower(strings.TrimSpace(heading))
			found[strings.ReplaceAll(heading, " ", "-")] = true
		}
	}
	return found
}

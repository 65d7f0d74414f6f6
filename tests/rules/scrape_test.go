package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

// quiet are the panels that have nothing to show of the operator in the sample: nothing failed there that they are about.
var quiet = []string{"Requests to the API server that failed"}

// scrape is what a running operator exports, as Prometheus stores it with honorLabels; a test of the operator writes and compares it.
func scrape(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("load 1m\n")
	for line := range strings.Lines(read(t, "tests/rules/testdata/scrape.txt")) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, rest, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		all := []string{`job="operator"`, `pod="operator-0"`, `instance="10.0.0.1:8080"`}
		if rest != "" {
			all = append(all, rest)
		}
		if !strings.Contains(","+rest, ",namespace=") {
			all = append(all, `namespace="zitadel-secret-operator"`)
		}
		fmt.Fprintf(&text, "  %s{%s} %s+1x20\n", name, strings.Join(all, ","), value)
	}
	return text.String()
}

func TestEveryQueryRunsOverWhatARunningOperatorExports(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	suite, err := promqltest.NewLazyLoader(scrape(t), promqltest.LazyLoaderOpts{})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	groups := groupsOf(t, suite, path(alertsFile))
	now := time.Unix(0, 0).Add(20 * time.Minute)
	suite.WithSamplesTill(now, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, group := range groups {
		group.Eval(suite.Context(), now)
		for _, rule := range group.Rules() {
			if err := rule.LastError(); err != nil {
				t.Errorf("%s: %v", rule.Name(), err)
			}
		}
	}
	answers := func(expr string) int {
		expr = filledIn(expr, all, all)
		query, err := suite.QueryEngine().NewInstantQuery(suite.Context(), suite.Queryable(), nil, expr, now)
		if err != nil {
			t.Fatal(err)
		}
		result, err := query.Exec(suite.Context()).Vector()
		if err != nil {
			t.Errorf("%v: %s", err, expr)
		}
		return len(result)
	}
	for _, rule := range allRules(t) {
		if rule.Record != "" && answers(rule.Expr) == 0 {
			t.Errorf("nothing is recorded as %s %v", rule.Record, rule.Labels)
		}
	}
	for _, annotation := range board.Annotations.List {
		if answers(annotation.Expr) == 0 {
			t.Errorf("no annotation %q", annotation.Name)
		}
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			if count := answers(target.Expr); (count == 0) != slices.Contains(quiet, panel.Title) {
				t.Errorf("%q, %s: %d series: %s", panel.Title, target.RefID, count, target.Expr)
			}
		}
	}
	metrics := exportedAndRecorded(t)
	examples := examplesOf(t, "docs/how-to/on-call.md")
	for _, expr := range examples {
		checkNames(t, "docs/how-to/on-call.md", expr, metrics)
		if answers(expr) == 0 {
			t.Errorf("no series: %s", expr)
		}
	}
	if len(examples) < 5 {
		t.Errorf("the page has %d queries", len(examples))
	}
}

// examplesOf are the queries of a page: what stands between two comments in its PromQL blocks.
func examplesOf(t *testing.T, page string) (queries []string) {
	t.Helper()
	for _, block := range strings.Split(read(t, page), "```promql\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, query := range strings.Split(block, "\n\n") {
			query = strings.TrimSpace(query)
			for strings.HasPrefix(query, "#") {
				_, query, _ = strings.Cut(query, "\n")
			}
			queries = append(queries, query)
		}
	}
	return queries
}

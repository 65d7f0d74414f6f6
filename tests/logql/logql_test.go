// Package logql runs the LogQL of the documentation in Loki's own parser and pipeline, over the log of a running operator.
package logql

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/model/labels"
)

// stream has the labels that a collector gives to the log of a Pod.
var stream = labels.FromStrings("namespace", "zitadel-secret-operator", "pod", "zitadel-secret-operator-0", "container", "operator")

// id is how an attempt is written. That of the page is none of the sample.
var id = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// What each query of the page finds in the sample: how many lines it leaves or counts, and a label that each of them has then.
var found = []struct {
	comment string
	lines   int
	label   string
	value   string
}{
	{"every generate call of an object", 3, "namespace_extracted", "orders"},
	{"calls whose outcome is not known, by application: each may have cost a client secret", 1, "app", "269012345678901234"},
	{"the call of one attempt, such as one in the history of an object", 1, "pod", "zitadel-secret-operator-0"},
}

func TestTheQueriesOfThePageFindWhatTheySay(t *testing.T) {
	log := lines(t, "testdata/operator.log")
	queries := queriesOf(t, "../../docs/how-to/on-call.md")
	if len(queries) != len(found) {
		t.Fatalf("%d queries, and %d of them are known", len(queries), len(found))
	}
	for _, want := range found {
		query, known := queries[want.comment]
		query = id.ReplaceAllString(query, id.FindString(log[0]))
		if !known {
			t.Errorf("the page has no query %q", want.comment)
			continue
		}
		results := run(t, query, log)
		if len(results) != want.lines {
			t.Errorf("%s: %d of %d lines and not %d: %s", want.comment, len(results), len(log), want.lines, query)
		}
		for _, labels := range results {
			if got := labels.Get(want.label); got != want.value {
				t.Errorf("%s: %s is %q and not %q: %s", want.comment, want.label, got, want.value, labels)
			}
		}
	}
}

// run is the labels of each line that a query leaves, or that it counts.
func run(t *testing.T, query string, log []string) (results []labels.Labels) {
	t.Helper()
	expr, err := syntax.ParseExpr(query)
	if err != nil {
		t.Fatalf("%v: %s", err, query)
	}
	switch expr := expr.(type) {
	case syntax.SampleExpr:
		extractors, err := expr.Extractors()
		if err != nil {
			t.Fatal(err)
		}
		for _, extractor := range extractors {
			extractor := extractor.ForStream(stream)
			for at, line := range log {
				if samples, matches := extractor.ProcessString(int64(at), line, labels.EmptyLabels()); matches {
					for _, sample := range samples {
						results = append(results, sample.Labels.Labels())
					}
				}
			}
		}
	case syntax.LogSelectorExpr:
		for _, matcher := range expr.Matchers() {
			if !matcher.Matches(stream.Get(matcher.Name)) {
				return nil
			}
		}
		pipeline, err := expr.Pipeline()
		if err != nil {
			t.Fatal(err)
		}
		for at, line := range log {
			if _, found, matches := pipeline.ForStream(stream).ProcessString(int64(at), line, labels.EmptyLabels()); matches {
				results = append(results, found.Labels())
			}
		}
	default:
		t.Fatalf("%T: %s", expr, query)
	}
	return results
}

// queriesOf are the queries in the LogQL blocks of a page, by the comment above each.
func queriesOf(t *testing.T, page string) map[string]string {
	t.Helper()
	queries := map[string]string{}
	for _, block := range strings.Split(read(t, page), "```logql\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, query := range strings.Split(strings.TrimSpace(block), "\n\n") {
			comment, query, _ := strings.Cut(query, "\n")
			queries[strings.TrimPrefix(comment, "# ")] = query
		}
	}
	return queries
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(read(t, path)), "\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

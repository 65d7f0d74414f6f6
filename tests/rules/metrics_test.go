package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// added are labels that Prometheus adds when it scrapes.
var added = []string{"job", "instance", "namespace", "pod", "service", "exported_namespace", "cluster"}

// checkNames fails for each metric in a query that the operator does not export, and each label that it does not have.
func checkNames(t *testing.T, where, query string, metrics map[string][]string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v in %s", where, err, query)
		return
	}
	// Labels by which results are put together must be of some metric in the query.
	var known, named []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			labels, ok := metrics[node.Name]
			if !ok {
				t.Errorf("%s: the operator does not export %s", where, node.Name)
				return nil
			}
			known = append(known, labels...)
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != "__name__" && !slices.Contains(labels, matcher.Name) && !slices.Contains(added, matcher.Name) {
					t.Errorf("%s: %s has no label %s", where, node.Name, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			named = append(named, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				named = append(named, node.VectorMatching.MatchingLabels...)
				named = append(named, node.VectorMatching.Include...)
			}
		}
		return nil
	})
	for _, label := range named {
		if !slices.Contains(known, label) && !slices.Contains(added, label) {
			t.Errorf("%s: no metric in it has the label %s: %s", where, label, query)
		}
	}
}

func TestAlertsAndTheirTestsNameOnlyWhatIsExported(t *testing.T) {
	metrics := exportedAndRecorded(t)
	for _, rule := range allRules(t) {
		checkNames(t, rule.Alert+rule.Record, rule.Expr, metrics)
	}
	for _, c := range alertCases {
		for _, series := range c.series {
			selector, _, _ := strings.Cut(series, "} ")
			checkNames(t, c.name, selector+"}", metrics)
		}
	}
}

// exportedAndRecorded returns the labels of each metric that is exported, and of what rules record.
func exportedAndRecorded(t *testing.T) map[string][]string {
	t.Helper()
	metrics := exported(t)
	for _, rule := range allRules(t) {
		if rule.Record != "" {
			metrics[rule.Record] = []string{"slo"}
		}
	}
	return metrics
}

package rules

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

type dashboard struct {
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name, Type, AllValue string
			Query                any
		}
	}
	Annotations struct{ List []annotation }
	Panels      []panel
}

type annotation struct {
	Name, Expr string
	Datasource struct{ UID string }
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource *struct{ Type, UID string }
	GridPos    struct{ X, Y, W, H int }
	Targets    []target
}

type target struct {
	Expr       string
	RefID      string
	Datasource struct{ Type, UID string }
}

// all is what Grafana fills in for a filter that lets everything through.
const all = ".*"

// filledIn is a query as Grafana sends it.
func filledIn(query, cluster, job string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$cluster", cluster, "$job", job, "$namespace", all).Replace(query)
}

func TestDashboardAsksOnlyForWhatIsExported(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || len(board.UID) > 40 || board.Title == "" {
		t.Errorf("uid %q, title %q", board.UID, board.Title)
	}
	if variables := board.Templating.List; len(variables) != 4 || variables[0].Name != "datasource" || variables[0].Query != "prometheus" {
		t.Errorf("the data source is not a variable: %v", board.Templating.List)
	}
	for i, name := range []string{"cluster", "job"} {
		variable := board.Templating.List[i+1]
		// NB: the regular expression of all matches also where there is no such label.
		if variable.Name != name || variable.AllValue != ".*" || !strings.Contains(fmt.Sprint(variable.Query), "label_values(zitadel_secret_operator_build_info, "+name+")") {
			t.Errorf("no filter by %s: %v", name, variable)
		}
	}
	namespaces := board.Templating.List[3]
	if namespaces.Name != "namespace" || namespaces.AllValue != ".*" || !strings.Contains(fmt.Sprint(namespaces.Query), "query_result(count by (object_namespace)") {
		t.Errorf("no filter by namespace: %v", namespaces)
	}
	metrics := exportedAndRecorded(t)
	if len(board.Annotations.List) == 0 {
		t.Error("no annotations")
	}
	for _, annotation := range board.Annotations.List {
		where := fmt.Sprintf("annotation %q", annotation.Name)
		if annotation.Datasource.UID != "${datasource}" {
			t.Errorf("%s does not use the variable", where)
		}
		checkQuery(t, where, annotation.Expr, metrics)
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	queries := 0
	for _, panel := range board.Panels {
		if ids[panel.ID] || titles[panel.Title] {
			t.Errorf("panel %d %q is there twice", panel.ID, panel.Title)
		}
		ids[panel.ID], titles[panel.Title] = true, true
		place := panel.GridPos
		for x := place.X; x < place.X+place.W; x++ {
			for y := place.Y; y < place.Y+place.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps %q or the edge", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		if panel.Type == "row" {
			continue
		}
		if panel.Datasource == nil || panel.Datasource.UID != "${datasource}" || len(panel.Targets) == 0 {
			t.Errorf("%q does not use the variable, or asks for nothing", panel.Title)
		}
		refs := map[string]bool{}
		for _, target := range panel.Targets {
			if target.Datasource.UID != "${datasource}" || target.RefID == "" || refs[target.RefID] {
				t.Errorf("%q: target %q", panel.Title, target.RefID)
			}
			refs[target.RefID] = true
			checkQuery(t, fmt.Sprintf("panel %q", panel.Title), target.Expr, metrics)
			if objects, filters := strings.Count(target.Expr, "zitadel_secret_operator_object_"), strings.Count(target.Expr, `namespace=~"$namespace"`); objects != filters {
				t.Errorf("%q: %d of %d object selectors are filtered by namespace", panel.Title, filters, objects)
			}
			queries++
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries", queries)
	}
}

// ofOperator finds the names of metrics in a query: those of the operator, those recorded, and those of its process.
var ofOperator = regexp.MustCompile(`\b(zitadel_secret_operator[_:]|process_)\w`)

// checkQuery checks that a query asks for what there is, of the clusters and jobs that are chosen, and keeps clusters apart.
func checkQuery(t *testing.T, where, query string, metrics map[string][]string) {
	t.Helper()
	query = filledIn(query, all, all)
	if selectors, filters := len(ofOperator.FindAllString(query, -1)), strings.Count(query, `cluster=~".*",job=~".*"`); selectors != filters {
		t.Errorf("%s: %d of %d selectors are filtered: %s", where, filters, selectors, query)
	}
	checkNames(t, where, query, metrics)
	keepsCluster(t, where, query)
}

// keepsCluster checks that no aggregation of a query adds up series of different clusters.
func keepsCluster(t *testing.T, where, query string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if sum, ok := node.(*parser.AggregateExpr); ok && sum.Without == slices.Contains(sum.Grouping, "cluster") {
			t.Errorf("%s: %s loses the cluster", where, sum)
		}
		return nil
	})
}

// A cluster with one object and one connection, as two replicas export it without leader election.
func exampleOfEverything(t *testing.T) string {
	t.Helper()
	values := map[string]string{
		"namespace": "zitadel-secret-operator", "name": "api", "le": "+Inf", "condition": "Ready", "status": "False", "part": "total",
		"state": "stalled", "result": "ok", "code": "500", "outcome": "Unknown",
	}
	var text strings.Builder
	text.WriteString("load 1m\n")
	for name, labels := range exportedAndRecorded(t) {
		for _, pod := range []string{"operator-0", "operator-1"} {
			series := []string{fmt.Sprintf("pod=%q", pod)}
			for _, label := range labels {
				value := values[label]
				if name == "zitadel_secret_operator_rotations_total" && label == "outcome" {
					value = "Published"
				}
				if value == "" {
					value = "x"
				}
				series = append(series, fmt.Sprintf("%s=%q", label, value))
				if label == "name" {
					series = append(series, `exported_namespace="orders"`)
				}
			}
			fmt.Fprintf(&text, "  %s{%s} 1+1x20\n", name, strings.Join(series, ","))
		}
	}
	return text.String()
}

func TestEveryQueryOfTheDashboardHasAnAnswer(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	suite, err := promqltest.NewLazyLoader(exampleOfEverything(t), promqltest.LazyLoaderOpts{})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	now := time.Unix(0, 0).Add(20 * time.Minute)
	suite.WithSamplesTill(now, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, annotation := range board.Annotations.List {
		board.Panels = append(board.Panels, panel{Title: annotation.Name, Targets: []target{{Expr: annotation.Expr}}})
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			expr := filledIn(target.Expr, all, all)
			query, err := suite.QueryEngine().NewInstantQuery(suite.Context(), suite.Queryable(), nil, expr, now)
			if err != nil {
				t.Fatal(err)
			}
			result, err := query.Exec(suite.Context()).Vector()
			if err != nil || len(result) == 0 {
				t.Errorf("%q, %s: %v, %d series: %s", panel.Title, target.RefID, err, len(result), expr)
			}
			if panel.Title == "ApiAppSecrets" && (len(result) != 1 || result[0].Metric.Get("object_namespace") != "orders") {
				t.Errorf("not the one object: %v", result)
			}
		}
	}
}

func TestTheDashboardAddsUpReleasesAndTakesEachReplicaOfOneForTheSame(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &board); err != nil {
		t.Fatal(err)
	}
	series := `load 1m
  zitadel_secret_operator_managed_objects{state="stalled",job="a",namespace="a",pod="a-0"} 3x20
  zitadel_secret_operator_managed_objects{state="stalled",job="a",namespace="a",pod="a-1"} 3x20
  zitadel_secret_operator_managed_objects{state="stalled",job="b",namespace="b",pod="b-0"} 4x20
`
	suite, err := promqltest.NewLazyLoader(series, promqltest.LazyLoaderOpts{})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	now := time.Unix(0, 0).Add(20 * time.Minute)
	suite.WithSamplesTill(now, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, panel := range board.Panels {
		if panel.Title != "Need a person" {
			continue
		}
		for job, stalled := range map[string]float64{all: 7, "a": 3, "b|c": 4} {
			expr := filledIn(panel.Targets[0].Expr, all, job)
			query, err := suite.QueryEngine().NewInstantQuery(suite.Context(), suite.Queryable(), nil, expr, now)
			if err != nil {
				t.Fatal(err)
			}
			result, err := query.Exec(suite.Context()).Vector()
			if err != nil || len(result) != 1 || result[0].F != stalled {
				t.Errorf("of %s: %v, %v: %s", job, err, result, expr)
			}
		}
		return
	}
	t.Error("there is no such panel")
}

package rules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// moment is what fires at a time since the start: `Alert labels`, without alertname and severity.
type moment struct {
	at     time.Duration
	firing []string
}

// alertCase is a history, one sample a minute, and what all rules together make of it.
type alertCase struct {
	name    string
	series  []string
	moments []moment
	// summary is what the summary of a firing alert must contain.
	summary string
	// release is the namespace of the release that the chart made the rules for. Empty: the rules as they are in the file.
	release string
}

// The labels of objects as Prometheus stores them by default, and with honorLabels.
const (
	renamed = `namespace="zitadel-secret-operator",exported_namespace="orders",name="api"`
	honored = `namespace="orders",name="api"`
	scraped = `namespace="zitadel-secret-operator",pod="operator-0"`
)

// works is a leader that works all the time.
var works = `zitadel_secret_operator_leader{` + scraped + `} 1x1000`

func condition(labels, condition, status, reason, values string) string {
	return fmt.Sprintf(`zitadel_secret_operator_object_condition{%s,pod="operator-0",condition=%q,status=%q,reason=%q} %s`,
		labels, condition, status, reason, values)
}

var (
	ofRenamed = `{exported_namespace="orders", name="api", namespace="zitadel-secret-operator"}`
	ofHonored = `{name="api", namespace="orders"}`
)

// turned is a condition that is one thing for some minutes and another from then on.
func turned(labels, type_, status, reason string, from, until int, then, thenReason string) []string {
	before := fmt.Sprintf("_x%d 1x%d stale", from, until-from-1)
	after := fmt.Sprintf("_x%d 1x1000", until)
	return []string{condition(labels, type_, status, reason, before), condition(labels, type_, then, thenReason, after)}
}

// fleet is a series of all objects together.
func fleet(name, labels, values string) string {
	return fmt.Sprintf(`zitadel_secret_operator_%s{namespace="zitadel-secret-operator",job="operator",%s} %s`, name, labels, values)
}

var alertCases = []alertCase{
	{
		name: "no replica works, then one leads",
		series: []string{
			`zitadel_secret_operator_leader{` + scraped + `} 1x4 0x20 1x1000`,
			`zitadel_secret_operator_leader{namespace="zitadel-secret-operator",pod="operator-1"} 0x1000`,
		},
		moments: []moment{
			{4 * time.Minute, nil},
			{14 * time.Minute, nil},
			{16 * time.Minute, []string{"ZitadelSecretOperatorAbsent {}"}},
			{27 * time.Minute, nil},
		},
	},
	{
		name:   "no replica is scraped at all, then one is",
		series: []string{`zitadel_secret_operator_leader{` + scraped + `} _x30 1x1000`},
		moments: []moment{
			{9 * time.Minute, nil},
			{11 * time.Minute, []string{"ZitadelSecretOperatorAbsent {}"}},
			{31 * time.Minute, nil},
		},
	},
	{
		name: "another release works, and the one that the chart made the rules for does not",
		series: []string{
			`zitadel_secret_operator_leader{` + scraped + `} 1x4 0x10 _x10 1x1000`,
			`zitadel_secret_operator_leader{namespace="another-release",pod="operator-0"} 1x1000`,
		},
		moments: []moment{
			{14 * time.Minute, nil},
			{16 * time.Minute, []string{`ZitadelSecretOperatorAbsent {namespace="zitadel-secret-operator"}`}},
			{24 * time.Minute, []string{`ZitadelSecretOperatorAbsent {namespace="zitadel-secret-operator"}`}},
			{27 * time.Minute, nil},
		},
		release: "zitadel-secret-operator",
	},
	{
		name: "the replica that works sees nothing, until its rights are there; what a standby sees does not count",
		series: []string{
			works,
			`zitadel_secret_operator_ready{` + scraped + `,check="watches"} 0x29 1x1000`,
			`zitadel_secret_operator_ready{` + scraped + `,check="connections"} 1x1000`,
			`zitadel_secret_operator_leader{namespace="zitadel-secret-operator",pod="operator-1"} 0x1000`,
			`zitadel_secret_operator_ready{namespace="zitadel-secret-operator",pod="operator-1",check="watches"} 0x1000`,
		},
		moments: []moment{
			{9 * time.Minute, nil},
			{11 * time.Minute, []string{`ZitadelSecretOperatorNotReady {check="watches", namespace="zitadel-secret-operator"}`}},
			{29 * time.Minute, []string{`ZitadelSecretOperatorNotReady {check="watches", namespace="zitadel-secret-operator"}`}},
			{35 * time.Minute, nil},
		},
		summary: "watches",
	},
	{
		name: "a value is held, then written; moments of other rotations do not count",
		series: []string{
			works,
			`zitadel_secret_operator_unflushed_secrets{` + scraped + `} 0x4 1x10 0x20 1x10`,
			// The first was begun at 270 s. Later each scrape sees another one, a second old.
			`zitadel_secret_operator_oldest_unflushed_secret_timestamp_seconds{` + scraped + `} 0x4 270x10 0x20 2219+60x10`,
		},
		moments: []moment{
			{4 * time.Minute, nil},
			{6 * time.Minute, nil},
			{7 * time.Minute, []string{`ZitadelSecretHeld {namespace="zitadel-secret-operator", pod="operator-0"}`}},
			{15 * time.Minute, []string{`ZitadelSecretHeld {namespace="zitadel-secret-operator", pod="operator-0"}`}},
			{16 * time.Minute, nil},
			{40 * time.Minute, nil},
		},
		summary: "cannot be written",
	},
	{
		name: "the stored value is refused and not repaired, then it is",
		series: slices.Concat([]string{works},
			turned(renamed, "Verified", "False", "Refused", 2, 20, "True", "Accepted"),
			turned(renamed, "Ready", "False", "Refused", 2, 20, "True", "UpToDate")),
		moments: []moment{
			{6 * time.Minute, nil},
			{8 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{19 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{24 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{25 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "the stored value is refused, and repaired as quickly as it should be",
		series: slices.Concat([]string{works},
			turned(honored, "Verified", "False", "Refused", 2, 5, "True", "Accepted"),
			turned(honored, "Ready", "False", "Refused", 2, 5, "True", "UpToDate")),
		moments: []moment{{4 * time.Minute, nil}, {8 * time.Minute, nil}},
	},
	{
		name: "the value is gone and the policy is to report it; a new trigger makes another",
		series: slices.Concat([]string{works},
			turned(honored, "Ready", "False", "SecretMissing", 2, 30, "True", "UpToDate"),
			turned(honored, "Stalled", "True", "SecretMissing", 2, 30, "False", "UpToDate")),
		moments: []moment{
			{6 * time.Minute, nil},
			{8 * time.Minute, []string{"ZitadelSecretInvalid " + ofHonored}},
			{29 * time.Minute, []string{"ZitadelSecretInvalid " + ofHonored}},
			{35 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "the value is gone and a quota keeps it from being made anew: consumers fail, which is more than a new object that waits",
		series: slices.Concat([]string{works},
			turned(honored, "Ready", "False", "QuotaExceeded", 2, 30, "True", "UpToDate"),
			turned(honored, "Stalled", "True", "QuotaExceeded", 2, 30, "False", "UpToDate"),
			turned(honored, "Verified", "False", "SecretMissing", 2, 30, "True", "Accepted"),
			[]string{
				condition(`namespace="orders",name="new"`, "Ready", "False", "QuotaExceeded", "_x2 1x27 stale"),
				condition(`namespace="orders",name="new"`, "Stalled", "True", "QuotaExceeded", "_x2 1x27 stale"),
			}),
		moments: []moment{
			{6 * time.Minute, nil},
			{8 * time.Minute, []string{"ZitadelSecretInvalid " + ofHonored}},
			{29 * time.Minute, []string{`ZitadelSecretFailing {name="new", namespace="orders"}`, "ZitadelSecretInvalid " + ofHonored}},
			{35 * time.Minute, nil},
		},
		summary: "orders/",
	},
	{
		name: "an operator that restarts shows nothing for some minutes, which mends nothing",
		series: []string{
			`zitadel_secret_operator_leader{` + scraped + `} 1x19 stale`,
			`zitadel_secret_operator_leader{namespace="zitadel-secret-operator",pod="operator-1"} _x23 1x1000`,
			condition(renamed, "Verified", "False", "Refused", "1x19 stale"),
			`zitadel_secret_operator_object_condition{` + renamed + `,pod="operator-1",condition="Verified",status="False",reason="Refused"} _x23 1x10 stale`,
		},
		moments: []moment{
			{19 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{21 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{24 * time.Minute, []string{"ZitadelSecretInvalid " + ofRenamed}},
			{39 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "objects of one name in two clusters are two",
		series: []string{
			works,
			condition(honored+`,cluster="east"`, "Verified", "False", "Refused", "1x1000"),
			condition(honored+`,cluster="west"`, "Verified", "False", "Refused", "1x1000"),
			condition(honored+`,cluster="west"`, "Ready", "Unknown", "Suspended", "1x1000"),
		},
		moments: []moment{
			{8 * time.Minute, []string{`ZitadelSecretInvalid {cluster="east", name="api", namespace="orders"}`}},
		},
		summary: "orders/api",
	},
	{
		name: "repairs stop, until a new trigger",
		series: slices.Concat([]string{works},
			turned(renamed, "Ready", "False", "BreakerOpen", 2, 30, "True", "UpToDate"),
			turned(renamed, "Stalled", "True", "BreakerOpen", 2, 30, "False", "UpToDate"),
			turned(renamed, "Verified", "False", "Refused", 2, 30, "True", "Accepted")),
		moments: []moment{
			{2 * time.Minute, nil},
			{3 * time.Minute, []string{"ZitadelSecretBreakerOpen " + ofRenamed}},
			{29 * time.Minute, []string{"ZitadelSecretBreakerOpen " + ofRenamed}},
			{35 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "consumers are late, then restarted",
		series: slices.Concat([]string{works, condition(renamed, "Ready", "True", "UpToDate", "1x1000")},
			turned(renamed, "ConsumersCurrent", "False", "DeadlineExceeded", 2, 30, "True", "AllCurrent")),
		moments: []moment{
			{2 * time.Minute, nil},
			{3 * time.Minute, []string{"ZitadelSecretConsumersLate " + ofRenamed}},
			{29 * time.Minute, []string{"ZitadelSecretConsumersLate " + ofRenamed}},
			{35 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "rotated by another actor, and the policy is to report",
		series: slices.Concat([]string{works},
			turned(honored, "Ready", "False", "RotatedElsewhere", 2, 30, "True", "UpToDate"),
			turned(honored, "Stalled", "True", "RotatedElsewhere", 2, 30, "False", "UpToDate"),
			turned(honored, "Verified", "False", "Refused", 2, 30, "True", "Accepted")),
		moments: []moment{
			{1 * time.Minute, nil},
			{2 * time.Minute, []string{"ZitadelSecretRotatedElsewhere " + ofHonored}},
			{29 * time.Minute, []string{"ZitadelSecretRotatedElsewhere " + ofHonored}},
			{35 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "rotated by another actor and repaired: firing for an hour",
		series: []string{
			works,
			condition(renamed, "Ready", "True", "UpToDate", "1x1000"),
			`zitadel_secret_operator_object_rotation_timestamp_seconds{` + renamed + `,cause="Due"} 0x9 stale`,
			`zitadel_secret_operator_object_rotation_timestamp_seconds{` + renamed + `,cause="SecretInvalid"} _x10 590x1000`,
		},
		moments: []moment{
			{9 * time.Minute, nil},
			{10 * time.Minute, []string{"ZitadelSecretRotatedElsewhere " + ofRenamed}},
			{69 * time.Minute, []string{"ZitadelSecretRotatedElsewhere " + ofRenamed}},
			{75 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "a due rotation cannot be carried out, then it is; a replica that takes over meanwhile changes nothing",
		series: []string{
			works,
			condition(renamed, "Ready", "True", "ZitadelUnreachable", "1x1000"),
			`zitadel_secret_operator_object_next_rotation_timestamp_seconds{` + renamed + `,pod="operator-0"} 600x72 stale`,
			`zitadel_secret_operator_object_next_rotation_timestamp_seconds{` + renamed + `,pod="operator-1"} _x73 600x7 9000x1000`,
		},
		moments: []moment{
			{11 * time.Minute, nil},
			{74 * time.Minute, nil},
			{76 * time.Minute, []string{"ZitadelSecretRotationOverdue " + ofRenamed}},
			{80 * time.Minute, []string{"ZitadelSecretRotationOverdue " + ofRenamed}},
			{87 * time.Minute, nil},
			{209 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "the windows passed without a rotation, until the next one",
		series: slices.Concat([]string{works},
			turned(honored, "Ready", "True", "Overdue", 2, 30, "True", "UpToDate"),
			[]string{`zitadel_secret_operator_object_next_rotation_timestamp_seconds{` + honored + `} 90000x1000`}),
		moments: []moment{
			{6 * time.Minute, nil},
			{8 * time.Minute, []string{"ZitadelSecretRotationOverdue " + ofHonored}},
			{35 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "what is suspended is not overdue, not failing and not invalid",
		series: []string{
			works,
			condition(renamed, "Ready", "Unknown", "Suspended", "1x1000"),
			condition(renamed, "Verified", "False", "Refused", "1x1000"),
			`zitadel_secret_operator_object_next_rotation_timestamp_seconds{` + renamed + `} 0x1000`,
		},
		moments: []moment{{3 * time.Hour, nil}},
	},
	{
		name: "an object that is not granted, until it is",
		series: slices.Concat([]string{works},
			turned(renamed, "Ready", "False", "NotGranted", 2, 40, "True", "UpToDate"),
			turned(renamed, "Stalled", "True", "NotGranted", 2, 40, "False", "UpToDate")),
		moments: []moment{
			{16 * time.Minute, nil},
			{18 * time.Minute, []string{"ZitadelSecretFailing " + ofRenamed}},
			{39 * time.Minute, []string{"ZitadelSecretFailing " + ofRenamed}},
			{45 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "one reason after the other does not begin the quarter of an hour anew, and a deleted object fails no more",
		series: []string{
			works,
			condition(honored, "Ready", "False", "SecretWriteForbidden", "1x9 stale"),
			condition(honored, "Ready", "False", "QuotaExceeded", "_x10 1x9 stale"),
		},
		moments: []moment{
			{14 * time.Minute, nil},
			{16 * time.Minute, []string{"ZitadelSecretFailing " + ofHonored}},
			{25 * time.Minute, nil},
		},
		summary: "orders/api",
	},
	{
		name: "a connection whose credential is refused fires once, not for each object",
		series: slices.Concat([]string{works},
			[]string{
				`zitadel_secret_operator_connection_condition{connection="default",condition="Ready",status="False",reason="CredentialMissing"} 1x29 stale`,
				`zitadel_secret_operator_connection_condition{connection="default",condition="Ready",status="True",reason="Connected"} _x30 1x1000`,
			},
			turned(renamed, "Ready", "False", "CredentialMissing", 0, 30, "True", "UpToDate"),
			turned(renamed, "Stalled", "True", "CredentialMissing", 0, 30, "False", "UpToDate")),
		moments: []moment{
			{9 * time.Minute, nil},
			{11 * time.Minute, []string{`ZitadelConnectionNotReady {connection="default"}`}},
			{29 * time.Minute, []string{`ZitadelConnectionNotReady {connection="default"}`}},
			{35 * time.Minute, nil},
		},
		summary: "default",
	},
	{
		name: "a credential that expires in a fortnight, until it is replaced",
		series: []string{
			works,
			`zitadel_secret_operator_connection_credential_expiry_timestamp_seconds{connection="default"} 1216200x119 99999999x1000`,
		},
		moments: []moment{
			{100 * time.Minute, nil},
			{111 * time.Minute, []string{`ZitadelConnectionCredentialExpiring {connection="default"}`}},
			{126 * time.Minute, nil},
		},
		summary: "default",
	},
	{
		name: "a credential that has expired",
		series: []string{
			works,
			`zitadel_secret_operator_connection_credential_expiry_timestamp_seconds{connection="default"} 60x9 99999999x1000`,
		},
		moments: []moment{
			{5 * time.Minute, []string{`ZitadelConnectionCredentialExpiring {connection="default"}`}},
			{16 * time.Minute, nil},
		},
		summary: "default",
	},
	{
		name: "clocks differ, from the API server and from a ZITADEL",
		series: []string{
			works,
			`zitadel_secret_operator_clock_skew_seconds{` + scraped + `,job="operator"} 0x4 -200x30 0x1000`,
			`zitadel_secret_operator_connection_clock_skew_seconds{connection="default",job="operator"} 119x9 121x30 0x1000`,
		},
		moments: []moment{
			{19 * time.Minute, nil},
			{21 * time.Minute, []string{`ZitadelSecretOperatorClockSkew {job="operator", namespace="zitadel-secret-operator"}`}},
			{26 * time.Minute, []string{
				`ZitadelSecretOperatorClockSkew {connection="default"}`,
				`ZitadelSecretOperatorClockSkew {job="operator", namespace="zitadel-secret-operator"}`,
			}},
			{50 * time.Minute, nil},
		},
		summary: "clock",
	},
	{
		// Three of ten for an hour. The share of a short history is that of three days, so it is six hours until it is forgotten.
		name: "many rotations are overdue for an hour, whatever the number of replicas",
		series: []string{
			works,
			fleet("managed_objects", `kind="ApiAppSecret",state="ready",pod="operator-0"`, "6x1000"),
			fleet("managed_objects", `kind="ApiAppSecret",state="ready",pod="operator-1"`, "6x1000"),
			fleet("managed_objects", `kind="OidcAppSecret",state="working",pod="operator-0"`, "4x1000"),
			fleet("overdue_objects", `pod="operator-0"`, "0x59 3x59 0x1000"),
			fleet("overdue_objects", `pod="operator-1"`, "0x59 3x59 0x1000"),
		},
		moments: []moment{
			{59 * time.Minute, nil},
			{100 * time.Minute, []string{`ZitadelSecretFleetOverdue {job="operator", namespace="zitadel-secret-operator", slo="rotated-on-time"}`}},
			{300 * time.Minute, []string{`ZitadelSecretFleetOverdue {job="operator", namespace="zitadel-secret-operator", slo="rotated-on-time"}`}},
			{500 * time.Minute, nil},
		},
		summary: "on time",
	},
	{
		name: "one of fifty is overdue for an hour, which the objective allows",
		series: []string{
			works,
			fleet("managed_objects", `kind="ApiAppSecret",state="ready"`, "50x5000"),
			fleet("overdue_objects", `pod="operator-0"`, "0x400 1x59 0x1000"),
		},
		moments: []moment{{430 * time.Minute, nil}, {460 * time.Minute, nil}, {600 * time.Minute, nil}},
	},
	{
		name: "many client secrets are not verified",
		series: []string{
			works,
			fleet("managed_objects", `kind="ApiAppSecret",state="ready"`, "10x1000"),
			fleet("unverified_objects", `pod="operator-0"`, "0x59 5x59 0x1000"),
		},
		moments: []moment{
			{59 * time.Minute, nil},
			{100 * time.Minute, []string{`ZitadelSecretFleetUnverified {job="operator", namespace="zitadel-secret-operator", slo="verified-within-a-day"}`}},
			{500 * time.Minute, nil},
		},
		summary: "not been verified",
	},
	{
		name: "a rotation of one of two objects leaves its Secret dark for a minute",
		series: []string{
			works,
			fleet("managed_objects", `kind="ApiAppSecret",state="ready"`, "2x1000"),
			fleet("dark_seconds_total", `pod="operator-0"`, "0x59 60x1000"),
		},
		moments: []moment{
			{60 * time.Minute, nil},
			{68 * time.Minute, []string{`ZitadelSecretFleetDark {job="operator", namespace="zitadel-secret-operator", slo="no-dark-seconds"}`}},
			{500 * time.Minute, nil},
		},
		summary: "too long",
	},
	{
		name: "rotations as they usually are, one an hour with a dark second",
		series: []string{
			works,
			fleet("managed_objects", `kind="ApiAppSecret",state="ready"`, "10x1000"),
			fleet("dark_seconds_total", `pod="operator-0"`, "0x59 1x59 2x59 3x59 4x59"),
		},
		moments: []moment{{64 * time.Minute, nil}, {70 * time.Minute, nil}, {200 * time.Minute, nil}},
	},
	{
		name: "all is well",
		series: []string{
			works,
			condition(renamed, "Ready", "True", "UpToDate", "1x1000"),
			condition(renamed, "Verified", "True", "Accepted", "1x1000"),
			`zitadel_secret_operator_object_rotation_timestamp_seconds{` + renamed + `,cause="Due"} 0x1000`,
			`zitadel_secret_operator_object_next_rotation_timestamp_seconds{` + renamed + `} 999999x1000`,
			`zitadel_secret_operator_connection_condition{connection="default",condition="Ready",status="True",reason="Connected"} 1x1000`,
			`zitadel_secret_operator_unflushed_secrets{` + scraped + `} 0x1000`,
			`zitadel_secret_operator_oldest_unflushed_secret_timestamp_seconds{` + scraped + `} 0x1000`,
		},
		moments: []moment{{1 * time.Hour, nil}, {12 * time.Hour, nil}},
	},
}

// load is the history in the language of Prometheus' own tests.
func (c alertCase) load() string {
	return "load 1m\n  " + strings.Join(c.series, "\n  ") + "\n"
}

// ruleFile is the file with the rules, for a release of the chart as its template makes them: tests/chart compares.
func ruleFile(t *testing.T, release string) string {
	t.Helper()
	if release == "" {
		return path(alertsFile)
	}
	const leads = "absent(zitadel_secret_operator_leader == 1)"
	own := fmt.Sprintf(`'label_replace(absent(zitadel_secret_operator_leader{namespace=%[1]q} == 1), "namespace", %[1]q, "", "")'`, release)
	text := read(t, alertsFile)
	if strings.Count(text, leads) != 1 {
		t.Fatalf("%s is not there once", leads)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(text, leads, own, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// groupsOf loads the rules of a file, to be evaluated over the suite once a minute.
func groupsOf(t *testing.T, suite *promqltest.LazyLoader, file string) map[string]*rules.Group {
	t.Helper()
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:  rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		Appendable: suite.Storage(),
		Context:    context.Background(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger:     promslog.NewNopLogger(),
		Parser:     parser.NewParser(parser.Options{}),
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if errs != nil {
		t.Fatal(errs)
	}
	return groups
}

// play evaluates all rules once a minute, and returns the alerts that fire at each moment of the case.
func (c alertCase) play(t *testing.T) [][]*rules.Alert {
	t.Helper()
	suite, err := promqltest.NewLazyLoader(c.load(), promqltest.LazyLoaderOpts{})
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	groups := groupsOf(t, suite, ruleFile(t, c.release))
	var played [][]*rules.Alert
	last := c.moments[len(c.moments)-1].at
	for since := time.Duration(0); since <= last; since += time.Minute {
		now := time.Unix(0, 0).UTC().Add(since)
		firing := []*rules.Alert{}
		suite.WithSamplesTill(now, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				group.Eval(suite.Context(), now)
				for _, rule := range group.Rules() {
					if err := rule.LastError(); err != nil {
						t.Fatalf("%s: %v", rule.Name(), err)
					}
					alerting, ok := rule.(*rules.AlertingRule)
					if !ok {
						continue
					}
					for _, alert := range alerting.ActiveAlerts() {
						if alert.State == rules.StateFiring {
							firing = append(firing, alert)
						}
					}
				}
			}
		})
		if slices.ContainsFunc(c.moments, func(m moment) bool { return m.at == since }) {
			played = append(played, firing)
		}
	}
	return played
}

// told is an alert as a moment has it.
func told(alert *rules.Alert) string {
	name := alert.Labels.Get(model.AlertNameLabel)
	var parts []string
	for label, value := range alert.Labels.Map() {
		if label != model.AlertNameLabel && label != "severity" {
			parts = append(parts, fmt.Sprintf("%s=%q", label, value))
		}
	}
	sort.Strings(parts)
	return name + " {" + strings.Join(parts, ", ") + "}"
}

func TestEveryAlertFiresAndResolvesAndNoOtherDoesMeanwhile(t *testing.T) {
	resolved := map[string]bool{}
	for _, c := range alertCases {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			for i, firing := range c.play(t) {
				names := map[string]bool{}
				got := []string{}
				for _, alert := range firing {
					got = append(got, told(alert))
					names[alert.Labels.Get(model.AlertNameLabel)] = true
					for name, text := range alert.Annotations.Map() {
						if strings.Contains(text, "<no value>") || strings.Contains(text, "error") {
							t.Errorf("%s of %s: %s", name, told(alert), text)
						}
					}
					if summary := alert.Annotations.Get("summary"); !strings.Contains(summary, c.summary) {
						t.Errorf("summary of %s: %s", told(alert), summary)
					}
				}
				sort.Strings(got)
				if !slices.Equal(got, c.moments[i].firing) && len(got)+len(c.moments[i].firing) > 0 {
					t.Errorf("after %v: %q fire, not %q", c.moments[i].at, got, c.moments[i].firing)
				}
				for name := range seen {
					resolved[name] = resolved[name] || !names[name]
				}
				for name := range names {
					seen[name] = true
				}
			}
		})
	}
	for _, rule := range alertRules(t) {
		if !resolved[rule.Alert] {
			t.Errorf("no case lets %s fire and resolve", rule.Alert)
		}
	}
}

func alertRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	found := slices.DeleteFunc(allRules(t), func(rule rulefmt.Rule) bool { return rule.Alert == "" })
	if len(found) < 8 {
		t.Fatalf("only %d alerts", len(found))
	}
	return found
}

// allRules returns the alerts and what is recorded for them.
func allRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	file, errs := rulefmt.ParseFile(path(alertsFile), false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	if errs != nil {
		t.Fatal(errs)
	}
	var found []rulefmt.Rule
	for _, group := range file.Groups {
		found = append(found, group.Rules...)
	}
	return found
}

func TestEveryAlertSaysHowBadItIsWhatItMeansAndWhereToRead(t *testing.T) {
	pages := anchors(t, howToFile)
	// The chart puts the page's address in the place of its path.
	const base = howToFile + "#"
	for _, rule := range alertRules(t) {
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", rule.Alert, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if rule.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", rule.Alert, annotation)
			}
		}
		anchor, found := strings.CutPrefix(rule.Annotations["runbook_url"], base)
		if !found || anchor != strings.ToLower(rule.Alert) || !pages[anchor] {
			t.Errorf("%s: there is no %q in %s", rule.Alert, rule.Annotations["runbook_url"], howToFile)
		}
	}
}

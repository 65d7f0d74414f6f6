//! The rules of the chart's RBAC: exactly what `src/rights.rs` says, each with the code that needs it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zitadel_secret_operator::rights::{REFRESH_RIGHTS, RESTART_RIGHTS, RIGHTS, Right, RightScope};

use crate::support::helm::{documents, of_kind, render, root, text, the};

/// Group, resource and verb.
type Allowed = BTreeSet<(String, String, String)>;

/// The rights at some places, by the code.
fn needed(places: &[RightScope]) -> Allowed {
    of(RIGHTS, places)
}

fn of(rights: &[Right], places: &[RightScope]) -> Allowed {
    let mut all = Allowed::new();
    for right in rights.iter().filter(|right| places.contains(&right.scope)) {
        for verb in right.verbs {
            all.insert((right.group.into(), right.resource.into(), (*verb).into()));
        }
    }
    all
}

/// The rights that rules grant.
fn granted(role: &Value) -> Allowed {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().unwrap().iter();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut all = Allowed::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    assert!(
        !all.iter()
            .any(|(group, resource, verb)| [group, resource, verb]
                .iter()
                .any(|word| word.contains('*'))),
        "{all:?}"
    );
    all
}

/// What the operator's service account is granted: in the cluster, and by namespace. Follows the bindings.
fn rights_of_the_operator(objects: &[Value]) -> (Allowed, BTreeMap<String, Allowed>) {
    let (mut cluster, mut by_namespace) = (Allowed::new(), BTreeMap::new());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (kind, roles) in [
        ("ClusterRoleBinding", "ClusterRole"),
        ("RoleBinding", "Role"),
    ] {
        for binding in of_kind(objects, kind) {
            assert_eq!(binding["roleRef"]["kind"], roles);
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1);
            assert_eq!(subjects[0]["kind"], "ServiceAccount");
            assert_eq!(subjects[0]["namespace"], "operators");
            assert_eq!(subjects[0]["name"], "zso-zitadel-secret-operator");
            let role = of_kind(objects, roles).into_iter().find(|role| {
                role["metadata"]["name"] == binding["roleRef"]["name"]
                    && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
            let rules = granted(role.unwrap());
            if roles == "Role" {
                let namespace = text(&binding["metadata"]["namespace"]);
                by_namespace
                    .entry(namespace)
                    .or_insert_with(Allowed::new)
                    .extend(rules);
            } else {
                cluster.extend(rules);
            }
        }
    }
    (cluster, by_namespace)
}

#[test]
fn for_the_whole_cluster_the_rules_are_what_the_code_needs() {
    let (cluster, by_namespace) = rights_of_the_operator(&render(&[]));
    assert_eq!(
        cluster,
        needed(&[
            RightScope::Cluster,
            RightScope::WatchedNamespaces,
            RightScope::Watched
        ])
    );
    let own = BTreeMap::from([("operators".to_owned(), needed(&[RightScope::Own]))]);
    assert_eq!(by_namespace, own);
}

#[test]
fn for_a_list_of_namespaces_rights_on_objects_and_secrets_are_roles_in_these_alone() {
    let objects = render(&["--set", "watchNamespaces={orders,billing}"]);
    let (cluster, by_namespace) = rights_of_the_operator(&objects);
    assert_eq!(
        cluster,
        needed(&[RightScope::Cluster, RightScope::WatchedNamespaces])
    );
    assert!(!cluster.iter().any(|(_, resource, _)| resource == "secrets"));
    let expected = BTreeMap::from([
        ("operators".to_owned(), needed(&[RightScope::Own])),
        ("orders".to_owned(), needed(&[RightScope::Watched])),
        ("billing".to_owned(), needed(&[RightScope::Watched])),
    ]);
    assert_eq!(by_namespace, expected);
    let rules = of_kind(&objects, "ClusterRole")
        .into_iter()
        .flat_map(|role| role["rules"].as_array().unwrap().clone());
    let mut namespaces = rules.filter(|rule| rule["resources"][0] == "namespaces");
    let rule = namespaces.next().unwrap();
    assert_eq!(
        rule["resourceNames"],
        serde_json::json!(["orders", "billing"])
    );
    assert!(namespaces.next().is_none());
}

#[test]
fn consumers_of_a_credential_are_touched_where_a_switch_allows_it_and_only_as_the_code_needs() {
    for (set, more) in [
        ("consumers.refresh=true", vec![REFRESH_RIGHTS]),
        ("consumers.restart=true", vec![RESTART_RIGHTS]),
        (
            "consumers.refresh=true,consumers.restart=true",
            vec![REFRESH_RIGHTS, RESTART_RIGHTS],
        ),
    ] {
        let more = more.concat();
        let watched = [RightScope::Watched];
        let everywhere = needed(&[
            RightScope::Cluster,
            RightScope::WatchedNamespaces,
            RightScope::Watched,
        ]);
        let (cluster, by_namespace) = rights_of_the_operator(&render(&["--set", set]));
        assert_eq!(cluster, &everywhere | &of(&more, &watched), "{set}");
        assert_eq!(by_namespace["operators"], needed(&[RightScope::Own]));
        let objects = render(&["--set", set, "--set", "watchNamespaces={orders}"]);
        let (cluster, by_namespace) = rights_of_the_operator(&objects);
        assert_eq!(
            cluster,
            needed(&[RightScope::Cluster, RightScope::WatchedNamespaces])
        );
        let here = &needed(&watched) | &of(&more, &watched);
        assert_eq!(by_namespace["orders"], here, "{set}");
        assert_eq!(by_namespace["operators"], needed(&[RightScope::Own]));
    }
}

#[test]
fn where_the_operator_s_own_namespace_is_watched_too_it_has_both_roles() {
    let objects = render(&["--set", "watchNamespaces={operators}"]);
    let (_, by_namespace) = rights_of_the_operator(&objects);
    let both = needed(&[RightScope::Own, RightScope::Watched]);
    assert_eq!(
        by_namespace,
        BTreeMap::from([("operators".to_owned(), both)])
    );
}

#[test]
fn rights_can_be_granted_outside_the_chart() {
    let objects = render(&["--set", "rbac.create=false"]);
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
}

#[test]
fn people_are_given_rights_on_objects_and_none_on_connections_or_a_status() {
    let objects = render(&[]);
    let aggregated = of_kind(&objects, "ClusterRole").into_iter().filter(|role| {
        let labels = role["metadata"]["labels"].as_object().unwrap();
        labels.keys().any(|name| name.contains("aggregate-to"))
    });
    let mut found = 0;
    for role in aggregated {
        found += 1;
        for (group, resource, _) in granted(role) {
            assert_eq!(group, "zitadel-secrets.dev");
            assert!(["apiappsecrets", "oidcappsecrets"].contains(&resource.as_str()));
        }
    }
    assert_eq!(found, 2);
    let without = render(&["--set", "rbac.aggregate=false"]);
    assert_eq!(of_kind(&without, "ClusterRole").len(), 1);
}

/// The words in a comment that name a source file, with the directory of the one before where they have none.
fn files(comment: &str) -> Vec<String> {
    let mut directory = String::new();
    let words = comment.split(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c)));
    let mut files = Vec::new();
    for word in words.map(|word| word.trim_end_matches('.')) {
        if std::path::Path::new(word)
            .extension()
            .is_none_or(|end| end != "rs")
        {
            continue;
        }
        let path = if let Some((before, _)) = word.rsplit_once('/') {
            before.clone_into(&mut directory);
            word.to_owned()
        } else {
            format!("{directory}/{word}")
        };
        files.push(path);
    }
    files
}

#[test]
fn the_example_grants_the_same_as_the_chart() {
    let example = std::fs::read_to_string(root().join("examples/minimal/rbac.yaml")).unwrap();
    let example = documents(&example);
    let everywhere = [
        RightScope::Cluster,
        RightScope::WatchedNamespaces,
        RightScope::Watched,
    ];
    assert_eq!(granted(the(&example, "ClusterRole")), needed(&everywhere));
    // Secrets of its own namespace are among those of all namespaces.
    let mut own = needed(&[RightScope::Own]);
    own.retain(|(_, resource, _)| resource != "secrets");
    assert_eq!(granted(the(&example, "Role")), own);
}

#[test]
fn each_rule_names_the_code_that_needs_it() {
    let rendered = text(&[
        "--show-only",
        "templates/rbac.yaml",
        "--set",
        "rbac.aggregate=false,consumers.refresh=true,consumers.restart=true",
    ]);
    // Those on Pods, and those on workloads.
    assert_eq!(rules_with_reasons(&rendered), RIGHTS.len() + 2);
    let example = std::fs::read_to_string(root().join("examples/minimal/rbac.yaml")).unwrap();
    assert!(rules_with_reasons(&example) > 5);
    for right in [RIGHTS, REFRESH_RIGHTS, RESTART_RIGHTS].concat() {
        let files = files(right.because);
        assert!(!files.is_empty(), "{}", right.because);
        for file in files {
            assert!(root().join(&file).is_file(), "{file}");
        }
    }
}

/// How many rules there are, each of which has a comment that names existing files.
fn rules_with_reasons(text: &str) -> usize {
    let mut comment = String::new();
    let mut rules = 0;
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push_str(words);
            comment.push(' ');
        } else if line.starts_with("- apiGroups:") {
            rules += 1;
            let files = files(&comment);
            assert!(!files.is_empty(), "a rule without a reason: {comment:?}");
            for file in files {
                assert!(root().join(&file).is_file(), "{file}: {comment}");
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    rules
}

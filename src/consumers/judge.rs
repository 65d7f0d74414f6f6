//! Which value a Pod has: that of the last rotation, or one from before. By what the kubelet reports; what an application makes of a file or
//! a variable cannot be seen. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::consumers::find::Use;
use crate::consumers::pod::Pod;
use crate::rotation::schedule::interval::later;

/// The spans of time that judgements and passes keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// What starts so soon after the write may still have been given the former value by the kubelet's cache.
    pub guard: Duration,
    /// The kubelet refreshes the volumes of a Pod within this of a prompt; 0.33 to 0.65 s were measured.
    pub prompted: Duration,
    /// The same without a prompt: its sync period and its cache, 1 min each, and a margin. 81 s were measured.
    pub unprompted: Duration,
    /// Between the first two passes over the Pods of a namespace; doubles up to `pass_most`.
    pub pass_first: Duration,
    /// Between two passes at most.
    pub pass_most: Duration,
    /// Between two looks at workloads that are being restarted.
    pub roll: Duration,
}

impl Spans {
    /// Timestamps of Kubernetes are cut to whole seconds.
    pub const SECOND: Duration = Duration::from_secs(1);

    /// The spans, divided by `factor`; for tests.
    pub fn new(factor: u32) -> Self {
        let span = |seconds| Duration::from_secs(seconds) / factor.max(1);
        Self {
            // NB: the API server's clock is known to the second, from responses that took their time.
            guard: span(5).max(Self::SECOND * 2),
            prompted: span(10),
            unprompted: span(150),
            pass_first: span(10),
            pass_most: span(300),
            roll: span(2).max(Duration::from_millis(200)),
        }
    }
}

/// Which value a Pod has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// That of the last rotation.
    Current,
    /// It will have that at this time without being replaced: the kubelet refreshes its files.
    Refreshed(Timestamp),
    /// One from before, until it is replaced.
    Former(Which),
    /// It is not known.
    Unknown(Which),
}

/// Which container is behind, how it came to that, and since when it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// The container; none: the whole Pod.
    pub container: Option<String>,
    /// In words.
    pub how: &'static str,
    /// Since when it has run.
    pub since: Option<Timestamp>,
}

/// When a value was written, and what the time is; both on the control plane's clock.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The time of the write, or later.
    pub at: Timestamp,
    /// The time.
    pub now: Timestamp,
    /// When the Pod was prompted to refresh its files, if it was.
    pub prompted: Option<Timestamp>,
    /// The spans.
    pub spans: &'a Spans,
}

/// Which value a Pod has that uses the Secret in these ways.
pub fn judge(pod: &Pod, uses: &[(&str, Use)], written: Written<'_>) -> Holds {
    let created = pod.metadata.creation_timestamp.as_ref();
    let from = later(written.at, written.spans.guard);
    if created.is_some_and(|created| created.0 >= from) {
        return Holds::Current;
    }
    // What no node has taken on has read nothing yet.
    let is_waiting = |it: &crate::consumers::pod::PodCondition| it.status == "False";
    if pod.condition("PodScheduled").is_some_and(is_waiting) {
        return Holds::Current;
    }
    let all = uses.iter().map(|use_| of_use(pod, *use_, from, written));
    let is_lost = pod
        .condition("Ready")
        .is_some_and(|ready| ready.status == "Unknown");
    match all.max_by_key(rank).unwrap_or(Holds::Current) {
        Holds::Current => Holds::Current,
        Holds::Refreshed(_) if is_lost => lost(pod, None),
        Holds::Former(which) if is_lost => lost(pod, which.container),
        other => other,
    }
}

/// The node does not respond: whether the Pod still runs is not known.
fn lost(pod: &Pod, container: Option<String>) -> Holds {
    Holds::Unknown(Which {
        container,
        how: "its node does not respond",
        since: pod.status.start_time.as_ref().map(|time| time.0),
    })
}

fn rank(holds: &Holds) -> (u8, Option<Timestamp>) {
    match holds {
        Holds::Current => (0, None),
        Holds::Refreshed(at) => (1, Some(*at)),
        Holds::Unknown(_) => (2, None),
        Holds::Former(_) => (3, None),
    }
}

fn of_use(pod: &Pod, (name, use_): (&str, Use), from: Timestamp, written: Written<'_>) -> Holds {
    let ahead = pod.node_ahead();
    let is_new = |started: Timestamp, from: Timestamp| started >= later(from, ahead);
    let container = |from: Timestamp, how: &'static str| {
        let Some(status) = pod.container(name) else {
            return Holds::Unknown(Which {
                container: Some(name.to_owned()),
                how: "its node has not reported the container yet",
                since: None,
            });
        };
        match status.running_since() {
            Some(since) if !is_new(since, from) => Holds::Former(Which {
                container: Some(name.to_owned()),
                how,
                since: Some(since),
            }),
            // One that does not run reads it when it starts again.
            _ => Holds::Current,
        }
    };
    let started = pod.status.start_time.as_ref().map(|time| time.0);
    let whole = |how: &'static str| match started {
        Some(started) if is_new(started, from) => Holds::Current,
        _ => Holds::Former(Which {
            container: Some(name.to_owned()),
            how,
            since: started,
        }),
    };
    match use_ {
        Use::Environment => container(from, "environment"),
        Use::SubPath => whole("file mounted by subPath"),
        Use::Init => whole("read by an init container"),
        Use::Directory if pod.metadata.annotations.reads_on_start() => {
            let from = later(written.at, written.spans.unprompted);
            container(from, "file that is read at the start")
        }
        Use::Directory => {
            let unprompted = later(written.at, written.spans.unprompted);
            let prompted = written.prompted;
            let prompted = prompted.map(|at| later(at, written.spans.prompted));
            let at = prompted.map_or(unprompted, |prompted| prompted.min(unprompted));
            if at <= written.now {
                Holds::Current
            } else {
                Holds::Refreshed(at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The write was at 12:00:00.
    fn at(time: &str) -> Timestamp {
        format!("2026-11-30T{time}Z").parse().unwrap()
    }

    fn time(time: &str) -> String {
        format!("2026-11-30T{time}Z")
    }

    /// A Pod from before the write, with a container that runs since then.
    fn pod(started: &str) -> Value {
        json!({
            "metadata": {"name": "p", "creationTimestamp": time("11:00:00")},
            "status": {
                "phase": "Running",
                "startTime": time("11:00:00"),
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": time("11:00:00")},
                    {"type": "Ready", "status": "True"},
                ],
                "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": time(started)}}}],
            },
        })
    }

    fn judged(pod: &Value, use_: Use, now: &str, prompted: Option<&str>) -> Holds {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        let spans = Spans::new(1);
        let written = Written {
            at: at("12:00:00"),
            now: at(now),
            prompted: prompted.map(at),
            spans: &spans,
        };
        judge(&pod, &[("c", use_)], written)
    }

    fn word(holds: &Holds) -> &'static str {
        match holds {
            Holds::Current => "current",
            Holds::Refreshed(_) => "refreshed",
            Holds::Former(_) => "former",
            Holds::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn a_container_reads_its_environment_when_it_starts() {
        let of = |started| judged(&pod(started), Use::Environment, "12:10:00", None);
        let former = Holds::Former(Which {
            container: Some("c".to_owned()),
            how: "environment",
            since: Some(at("12:00:04")),
        });
        assert_eq!(
            of("12:00:04"),
            former,
            "the kubelet may have had the former one"
        );
        assert_eq!(of("12:00:05"), Holds::Current);
        let mut stopped = pod("11:00:00");
        stopped["status"]["containerStatuses"][0]["state"] =
            json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let stopped = judged(&stopped, Use::Environment, "12:10:00", None);
        assert_eq!(stopped, Holds::Current, "it reads it when it starts again");
        let mut silent = pod("11:00:00");
        silent["status"]["containerStatuses"] = json!([]);
        let silent = judged(&silent, Use::Environment, "12:10:00", None);
        assert_eq!(word(&silent), "unknown");
    }

    #[test]
    fn a_node_whose_clock_is_ahead_does_not_make_a_container_younger_than_it_is() {
        let mut ahead = pod("12:01:00");
        ahead["status"]["startTime"] = json!(time("11:02:00"));
        let of = |pod: &Value| word(&judged(pod, Use::Environment, "12:10:00", None));
        assert_eq!(of(&ahead), "former", "it is two minutes ahead");
        ahead["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
            json!(time("12:02:05"));
        assert_eq!(of(&ahead), "current");
        // A node that was away for an hour is no clock that is an hour ahead.
        ahead["status"]["startTime"] = json!(time("11:59:00"));
        ahead["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
            json!(time("12:05:05"));
        assert_eq!(of(&ahead), "current");
    }

    #[test]
    fn files_are_refreshed_soon_after_a_prompt_and_at_the_latest_by_the_kubelet_itself() {
        let of = |now, prompted| judged(&pod("11:00:00"), Use::Directory, now, prompted);
        assert_eq!(of("12:00:01", None), Holds::Refreshed(at("12:02:30")));
        let prompted = Some("12:00:01");
        assert_eq!(of("12:00:10", prompted), Holds::Refreshed(at("12:00:11")));
        assert_eq!(of("12:00:11", prompted), Holds::Current);
        assert_eq!(of("12:02:30", None), Holds::Current);
        let late = of("12:02:29", Some("12:02:28"));
        assert_eq!(late, Holds::Refreshed(at("12:02:30")));
        let mut once = pod("12:00:20");
        once["metadata"]["annotations"] = json!({"zitadel-secrets.dev/reload": "on-start"});
        let of = |pod: &Value| word(&judged(pod, Use::Directory, "13:00:00", prompted));
        assert_eq!(of(&once), "former", "it may have read the former file");
        once["metadata"]["annotations"] = json!({"zitadel-secrets.dev/reload": "on-change"});
        assert_eq!(of(&once), "current");
    }

    #[test]
    fn what_is_never_refreshed_is_replaced_with_its_pod() {
        for use_ in [Use::SubPath, Use::Init] {
            let of = |pod: &Value| word(&judged(pod, use_, "13:00:00", Some("12:00:01")));
            assert_eq!(of(&pod("12:30:00")), "former");
            let mut new = pod("12:30:00");
            new["status"]["startTime"] = json!(time("12:00:05"));
            new["status"]["conditions"][0]["lastTransitionTime"] = json!(time("12:00:05"));
            assert_eq!(of(&new), "current");
        }
    }

    #[test]
    fn a_pod_that_came_after_or_that_no_node_took_on_has_the_new_value() {
        for use_ in [Use::Environment, Use::Directory, Use::SubPath, Use::Init] {
            let mut new = pod("11:00:00");
            new["metadata"]["creationTimestamp"] = json!(time("12:00:05"));
            assert_eq!(judged(&new, use_, "12:00:06", None), Holds::Current);
            let mut pending = pod("11:00:00");
            pending["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]});
            assert_eq!(judged(&pending, use_, "12:00:06", None), Holds::Current);
        }
    }

    #[test]
    fn of_a_node_that_does_not_respond_nothing_is_known() {
        let mut lost = pod("11:00:00");
        lost["status"]["conditions"][1]["status"] = json!("Unknown");
        for (use_, now, expected) in [
            (Use::Environment, "12:10:00", "unknown"),
            (Use::Directory, "12:00:10", "unknown"),
            (Use::SubPath, "12:10:00", "unknown"),
        ] {
            assert_eq!(word(&judged(&lost, use_, now, None)), expected, "{use_:?}");
        }
    }

    #[test]
    fn the_use_that_is_furthest_behind_counts() {
        let pod: Pod = serde_json::from_value(pod("11:00:00")).unwrap();
        let spans = Spans::new(1);
        let written = Written {
            at: at("12:00:00"),
            now: at("12:00:10"),
            prompted: None,
            spans: &spans,
        };
        let judged = |uses: &[(&str, Use)]| word(&judge(&pod, uses, written));
        assert_eq!(
            judged(&[("c", Use::Directory), ("c", Use::Environment)]),
            "former"
        );
        assert_eq!(
            judged(&[("c", Use::Directory), ("d", Use::Environment)]),
            "unknown"
        );
        assert_eq!(judged(&[]), "current");
    }
}

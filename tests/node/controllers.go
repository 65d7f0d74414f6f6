package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/cronjob"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/disruption"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/nodelifecycle"
	"k8s.io/kubernetes/pkg/controller/podgc"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/tainteviction"
)

// runControllers runs those parts of kube-controller-manager that the control plane lacks and that make sense with a node only, with
// their defaults.
func runControllers(s settings) error {
	ctx := context.Background()
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig("controllers"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	var failure error
	client := func(name string) kubernetes.Interface {
		client, err := kubernetes.NewForConfig(rest.AddUserAgent(config, name))
		failure = errors.Join(failure, err)
		return client
	}
	shared := informers.NewSharedInformerFactory(client("shared-informers"), 12*time.Hour)
	core, apps, batch := shared.Core().V1(), shared.Apps().V1(), shared.Batch().V1()

	nodes, err := nodelifecycle.NewNodeLifecycleController(ctx, shared.Coordination().V1().Leases(), core.Pods(), core.Nodes(), apps.DaemonSets(),
		client("node-controller"), 5*time.Second, time.Minute, 50*time.Second, 0.1, 0.01, 50, 0.55)
	if err != nil {
		return fmt.Errorf("node lifecycle: %w", err)
	}
	taints, err := tainteviction.New(ctx, client("node-controller"), core.Pods(), core.Nodes(), "taint-eviction-controller")
	if err != nil {
		return fmt.Errorf("taint eviction: %w", err)
	}
	daemonSets, err := daemon.NewDaemonSetsController(ctx, apps.DaemonSets(), apps.ControllerRevisions(), core.Pods(), core.Nodes(),
		client("daemon-set-controller"), flowcontrol.NewBackOff(time.Second, 15*time.Minute))
	if err != nil {
		return fmt.Errorf("daemon set: %w", err)
	}
	jobs, err := job.NewController(ctx, client("job-controller"), core.Pods(), batch.Jobs(), nil, nil)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	cronJobs, err := cronjob.NewControllerV2(ctx, batch.Jobs(), batch.CronJobs(), client("cronjob-controller"))
	if err != nil {
		return fmt.Errorf("cron job: %w", err)
	}
	statefulSets := statefulset.NewStatefulSetController(ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(),
		apps.ControllerRevisions(), client("statefulset-controller"))
	pods := podgc.NewPodGC(ctx, client("pod-garbage-collector"), core.Pods(), core.Nodes(), 12500)

	disruptions := client("disruption-controller")
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disruptions.Discovery()))
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(disruptions.Discovery()))
	if err != nil {
		return fmt.Errorf("disruption: %w", err)
	}
	budgets := disruption.NewDisruptionController(ctx, core.Pods(), shared.Policy().V1().PodDisruptionBudgets(), core.ReplicationControllers(),
		apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(), disruptions, mapper, scales, disruptions.Discovery())
	if failure != nil {
		return failure
	}

	shared.Start(ctx.Done())
	go nodes.Run(ctx)
	go taints.Run(ctx)
	go daemonSets.Run(ctx, 2)
	go jobs.Run(ctx, 5)
	go cronJobs.Run(ctx, 5)
	go statefulSets.Run(ctx, 5)
	go pods.Run(ctx)
	go budgets.Run(ctx)
	klog.InfoS("Controllers started")
	select {}
}

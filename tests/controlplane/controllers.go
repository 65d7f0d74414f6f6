package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
	cacheddiscovery "k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// controllerNames is everything that runs besides the garbage collector.
var controllerNames = []string{
	names.NamespaceController,
	names.ServiceAccountController,
	names.ServiceAccountTokenController,
	names.RootCACertificatePublisherController,
	names.DeploymentController,
	names.ReplicaSetController,
	names.ResourceQuotaController,
	names.ClusterRoleAggregationController,
}

// startControllers does what the command in cmd/kube-controller-manager does, apart from signals and log settings.
func startControllers(ctx context.Context, p *pki, kubeconfig string, config *rest.Config, gcSync time.Duration, failed chan<- error) error {
	opts, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	err = parse("kube-controller-manager", opts.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()), []string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(controllerNames, ","),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--service-account-private-key-file=" + p.path("service-account.key"),
		"--root-ca-file=" + p.path("ca.crt"),
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	})
	if err != nil {
		return err
	}
	c, err := opts.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return err
	}
	go func() {
		err := app.Run(ctx, c.Complete())
		if ctx.Err() == nil {
			failed <- fmt.Errorf("kube-controller-manager ended: %w", orUnknown(err))
		}
	}()
	return startGarbageCollector(ctx, config, gcSync)
}

// startGarbageCollector runs the garbage collector outside kube-controller-manager, because there it looks for new
// resource types every 30 s only: for so long, the owner of a type that a test has just defined would be ignored.
func startGarbageCollector(ctx context.Context, config *rest.Config, sync time.Duration) error {
	config = rest.AddUserAgent(config, "generic-garbage-collector")
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	// The mapper has a discovery client of its own, see GarbageCollector.Sync.
	mapperDiscovery, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(cacheddiscovery.NewMemCacheClient(mapperDiscovery))
	factory := informerfactory.NewInformerFactory(
		informers.NewSharedInformerFactory(client, 0),
		metadatainformer.NewSharedInformerFactory(metadataClient, 0),
	)
	started := make(chan struct{})
	close(started)
	gc, err := garbagecollector.NewGarbageCollector(
		ctx, client, metadataClient, mapper, garbagecollector.DefaultIgnoredResources(), factory, started,
	)
	if err != nil {
		return err
	}
	go gc.Run(ctx, 20, 30*time.Second)
	go gc.Sync(ctx, client.Discovery(), sync)
	return nil
}

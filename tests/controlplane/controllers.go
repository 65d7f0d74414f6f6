package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/discovery"
	cacheddiscovery "k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/resourcequota"
	serviceaccountcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// startControllers starts each controller as cmd/kube-controller-manager/app does, with its defaults. Not through that package: it links
// every other controller too, and with them the scheduler and much of the kubelet.
func startControllers(ctx context.Context, p *pki, config *rest.Config, gcSync time.Duration) error {
	rootCA, err := os.ReadFile(p.path("ca.crt"))
	if err != nil {
		return err
	}
	privateKey, err := keyutil.PrivateKeyFromFile(p.path("service-account.key"))
	if err != nil {
		return err
	}
	tokens, err := serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, privateKey)
	if err != nil {
		return err
	}

	c := &clients{config: config}
	shared := informers.NewSharedInformerFactory(c.client("shared-informers"), resync)
	metadataOnly := metadatainformer.NewSharedInformerFactory(c.metadata("metadata-informers"), resync)
	started := make(chan struct{})
	core, apps := shared.Core().V1(), shared.Apps().V1()

	namespaceClient := c.client("namespace-controller")
	namespaces := namespace.NewNamespaceController(ctx, namespaceClient, c.metadata("namespace-controller"),
		namespaceClient.Discovery().ServerPreferredNamespacedResources, core.Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)
	clusterRoles := clusterroleaggregation.NewClusterRoleAggregation(
		shared.Rbac().V1().ClusterRoles(), c.client("clusterrole-aggregation-controller").RbacV1())
	replicaSets := replicaset.NewReplicaSetController(
		ctx, apps.ReplicaSets(), core.Pods(), c.client("replicaset-controller"), replicaset.BurstReplicas)
	deployments, err := deployment.NewDeploymentController(
		ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), c.client("deployment-controller"))
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	accounts, err := serviceaccountcontroller.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(),
		c.client("service-account-controller"), serviceaccountcontroller.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	accountTokens, err := serviceaccountcontroller.NewTokensController(klog.FromContext(ctx), core.ServiceAccounts(), core.Secrets(),
		c.client("tokens-controller"), serviceaccountcontroller.TokensControllerOptions{TokenGenerator: tokens, RootCA: rootCA})
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	authorities, err := rootcacertpublisher.NewPublisher(
		core.ConfigMaps(), core.Namespaces(), c.client("root-ca-cert-publisher"), rootCA)
	if err != nil {
		return fmt.Errorf("root CA: %w", err)
	}
	quotaClient := c.client("resourcequota-controller")
	quotaConfig, err := quotainstall.NewQuotaConfigurationForControllers(generic.ListerFuncForResourceFunc(shared.ForResource), shared)
	if err != nil {
		return fmt.Errorf("resource quota: %w", err)
	}
	namespaced := quotaClient.Discovery().ServerPreferredNamespacedResources
	quotas, err := resourcequota.NewController(ctx, &resourcequota.ControllerOptions{
		QuotaClient:               quotaClient.CoreV1(),
		ResourceQuotaInformer:     core.ResourceQuotas(),
		ResyncPeriod:              controller.StaticResyncPeriodFunc(5 * time.Minute),
		InformerFactory:           informerfactory.NewInformerFactory(shared, metadataOnly),
		ReplenishmentResyncPeriod: controller.StaticResyncPeriodFunc(resync),
		DiscoveryFunc:             namespaced,
		IgnoredResourcesFunc:      quotaConfig.IgnoredResources,
		InformersStarted:          started,
		Registry:                  generic.NewRegistry(quotaConfig.Evaluators()),
		UpdateFilter:              quotainstall.DefaultUpdateFilter(),
	})
	if err != nil {
		return fmt.Errorf("resource quota: %w", err)
	}
	if c.err != nil {
		return c.err
	}

	shared.Start(ctx.Done())
	metadataOnly.Start(ctx.Done())
	close(started)
	go namespaces.Run(ctx, 10)
	go clusterRoles.Run(ctx, 5)
	go replicaSets.Run(ctx, 5)
	go deployments.Run(ctx, 5)
	go accounts.Run(ctx, 1)
	go accountTokens.Run(ctx, 5)
	go authorities.Run(ctx, 1)
	go quotas.Run(ctx, 5)
	go quotas.Sync(ctx, namespaced, 30*time.Second)
	return startGarbageCollector(ctx, config, gcSync)
}

// resync is how often an informer repeats what it has.
const resync = 12 * time.Hour

// clients makes clients by name and keeps the first error.
type clients struct {
	config *rest.Config
	err    error
}

func (c *clients) named(name string) *rest.Config {
	config := rest.AddUserAgent(c.config, name)
	config.QPS, config.Burst = 500, 1000
	return config
}

func (c *clients) client(name string) kubernetes.Interface {
	client, err := kubernetes.NewForConfig(c.named(name))
	c.err = errors.Join(c.err, err)
	return client
}

func (c *clients) metadata(name string) metadata.Interface {
	client, err := metadata.NewForConfig(c.named(name))
	c.err = errors.Join(c.err, err)
	return client
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

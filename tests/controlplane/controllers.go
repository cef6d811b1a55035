package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

// gcPeriod is how soon the garbage collector notices a new kind; kube-controller-manager takes 30 s.
const gcPeriod = time.Second

// startControllers runs the four controllers that an operator without pods can notice, and returns when
// the garbage collector knows the cluster.
func startControllers(ctx context.Context, config *rest.Config) error {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(kube, 0)
	metadataShared := metadatainformer.NewSharedInformerFactory(meta, 0)
	running := make(chan struct{})

	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx),
		shared.Core().V1().ServiceAccounts(), shared.Core().V1().Namespaces(), kube, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	namespaces := namespace.NewNamespaceController(ctx, kube, meta, kube.Discovery().ServerPreferredNamespacedResources,
		shared.Core().V1().Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)
	roles := clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), kube.RbacV1())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))
	garbage, err := garbagecollector.NewGarbageCollector(ctx, kube, meta, mapper, garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(shared, metadataShared), running)
	if err != nil {
		return err
	}

	go accounts.Run(ctx, 2)
	go namespaces.Run(ctx, 4)
	go roles.Run(ctx, 2)
	go garbage.Run(ctx, 4, gcPeriod)
	go garbage.Sync(ctx, kube.Discovery(), gcPeriod)
	shared.Start(ctx.Done())
	metadataShared.Start(ctx.Done())
	close(running)
	for !garbage.IsSynced(klog.FromContext(ctx)) {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

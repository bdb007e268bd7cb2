package main

import (
	"context"
	"encoding/json"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// grower does what a cluster's external resizer does: the claim asks for more, the disk grows, and only then do
// the volume and the claim say so. A capacity that is told before it is there is the bug that tests look for.
type grower struct {
	client kubernetes.Interface
	disks  disks
	claims corelisters.PersistentVolumeClaimLister
	synced cache.InformerSynced
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func newGrower(client kubernetes.Interface, disks disks, claims coreinformers.PersistentVolumeClaimInformer) *grower {
	pauses := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](500*time.Millisecond, 10*time.Second)
	g := &grower{
		client: client,
		disks:  disks,
		claims: claims.Lister(),
		synced: claims.Informer().HasSynced,
		queue:  workqueue.NewTypedRateLimitingQueue(pauses),
	}
	enqueue := func(object any) {
		if name, err := cache.ObjectToName(object); err == nil {
			g.queue.Add(name)
		}
	}
	_, err := claims.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
	})
	if err != nil {
		klog.Fatal(err)
	}
	return g
}

func (g *grower) run(ctx context.Context) {
	cache.WaitForCacheSync(ctx.Done(), g.synced)
	go func() { <-ctx.Done(); g.queue.ShutDown() }()
	for {
		name, done := g.queue.Get()
		if done {
			return
		}
		if err := g.grow(ctx, name); err != nil {
			klog.ErrorS(err, "Claim does not grow", "claim", name)
			g.queue.AddRateLimited(name)
		} else {
			g.queue.Forget(name)
		}
		g.queue.Done(name)
	}
}

func (g *grower) grow(ctx context.Context, name cache.ObjectName) error {
	claim, err := g.claims.PersistentVolumeClaims(name.Namespace).Get(name.Name)
	if err != nil {
		return nil // gone meanwhile
	}
	size := sizeOf(claim)
	if has := claim.Status.Capacity[v1.ResourceStorage]; claim.Status.Phase != v1.ClaimBound || size.Cmp(has) <= 0 {
		return nil
	}
	volume, err := g.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName {
		return nil
	}
	if err := g.disks.grow(volume.Name, size.Value()); err != nil {
		return err
	}
	return g.tell(ctx, claim, size)
}

func (g *grower) tell(ctx context.Context, claim *v1.PersistentVolumeClaim, size resource.Quantity) error {
	capacity := map[string]any{"capacity": v1.ResourceList{v1.ResourceStorage: size}}
	volume, err := json.Marshal(map[string]any{"spec": capacity})
	if err != nil {
		return err
	}
	_, err = g.client.CoreV1().PersistentVolumes().Patch(
		ctx, claim.Spec.VolumeName, types.MergePatchType, volume, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	// The conditions say that growth is under way: none is, now.
	capacity["conditions"] = nil
	status, err := json.Marshal(map[string]any{"status": capacity})
	if err != nil {
		return err
	}
	_, err = g.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(
		ctx, claim.Name, types.MergePatchType, status, metav1.PatchOptions{}, "status")
	klog.InfoS("Claim has grown", "claim", klog.KObj(claim), "size", size.String())
	return err
}

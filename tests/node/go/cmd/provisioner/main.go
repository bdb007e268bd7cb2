// Command provisioner serves the node's default StorageClass with volumes that have a real size.
//
// Each claim is an XFS file system of the claimed size in a sparse file, loop-mounted and handed out as a `local`
// volume. The kubelet applies fsGroup to `local` volumes and never to hostPath ones, and a folder is never full:
// both hid failures that every CSI volume shows. XFS, because a mounted ext4 cannot grow on every kernel.
package main

import (
	"context"
	"flag"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "postbase.sh/node"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the cluster's administrator")
	folder := flag.String("folder", "", "where images and mount points go")
	node := flag.String("node", "", "the name of the node that the volumes are on")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	disks := disks{folder: *folder}

	shared := informers.NewSharedInformerFactory(client, 0)
	grower := newGrower(client, disks, shared.Core().V1().PersistentVolumeClaims())
	shared.Start(ctx.Done())
	go grower.run(ctx)

	controller.NewProvisionController(ctx, client, provisionerName, &provisioner{disks: disks, node: *node},
		controller.LeaderElection(false),
		// The library's first pause is 15 s: a test that meets one fault would wait for it.
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](500*time.Millisecond, 10*time.Second)),
		controller.FailedDeleteThreshold(0),
		controller.FailedProvisionThreshold(0),
	).Run(ctx)
}

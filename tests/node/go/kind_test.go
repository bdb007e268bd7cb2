// Package node holds the checks on what the bring-up shares with others' programs.
package node

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

// kind itself runs only where Docker does; its own types read the file strictly anywhere.
func TestKindConfig(t *testing.T) {
	file, err := os.Open("../../../kind-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var cluster v1alpha4.Cluster
	if err := decoder.Decode(&cluster); err != nil {
		t.Fatal(err)
	}
	v1alpha4.SetDefaultsCluster(&cluster)
	if cluster.Kind != "Cluster" || cluster.APIVersion != "kind.x-k8s.io/v1alpha4" || cluster.Name != "postbase" {
		t.Errorf("not kind's v1alpha4: %+v", cluster.TypeMeta)
	}
	if len(cluster.Nodes) != 1 || cluster.Nodes[0].Role != v1alpha4.ControlPlaneRole {
		t.Errorf("one node is wanted, as the other grounds have: %+v", cluster.Nodes)
	}
}

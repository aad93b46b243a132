// What one release of Kubernetes knows by name, told by its own code: a line a name, `KIND NAME`, or `KIND NAME=VALUE` for a
// feature gate that may have that value alone. `python -m sandbox.known` runs it within sandbox/release/k8s and k8s-1.36.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/controlplane"
	_ "k8s.io/kubernetes/pkg/features"
	kubeoptions "k8s.io/kubernetes/pkg/kubeapiserver/options"
)

func main() {
	kubeletConfig, err := options.NewKubeletConfiguration()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The command of the kubelet parses nothing by itself, and shows only a part.
	kubelet.NewKubeletCommand(context.Background())
	ofKubelet := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	options.NewKubeletFlags().AddFlags(ofKubelet)
	options.AddKubeletConfigFlags(ofKubelet, kubeletConfig)
	options.AddGlobalFlags(ofKubelet)
	for component, flags := range map[string]*pflag.FlagSet{
		"APISERVER":          apiserver.NewAPIServerCommand().Flags(),
		"CONTROLLER_MANAGER": controllers.NewControllerManagerCommand().Flags(),
		"SCHEDULER":          scheduler.NewSchedulerCommand().Flags(),
		"KUBELET":            ofKubelet,
		"KUBEPROXY":          proxy.NewProxyCommand().Flags(),
	} {
		// Also those that --help hides because they are to go.
		flags.VisitAll(func(flag *pflag.Flag) { fmt.Println(component, flag.Name) })
	}
	for name, spec := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		if spec.LockToDefault {
			fmt.Printf("gate %s=%t\n", name, spec.Default)
		} else {
			fmt.Println("gate", name)
		}
	}
	for _, version := range legacyscheme.Scheme.PrioritizedVersionsAllGroups() {
		fmt.Println("api", version)
	}
	plugins := admission.NewPlugins()
	kubeoptions.RegisterAllAdmissionPlugins(plugins)
	server.RegisterAllAdmissionPlugins(plugins)
	for _, name := range plugins.Registered() {
		fmt.Println("admission", name)
	}
}

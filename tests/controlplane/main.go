// Controlplane is a complete, throw-away Kubernetes control plane in one process: etcd, kube-apiserver with
// RBAC, and the garbage collector, namespace, service-account and role-aggregation controllers. Called by the
// name of kubectl, etcd or kube-apiserver it is that program instead. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // for kubectl: the credential plugins of kubeconfig files
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register" // for kube-apiserver: --logging-format=json
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "kubectl":
		_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
		util.CheckErr(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()))
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	default:
		runControlPlane()
	}
}

type options struct {
	dir           string
	port          int
	bind          string
	auditLog      string
	assets        string
	exitWithStdin bool
	startTimeout  time.Duration
	apiserverArgs []string
}

func parseOptions() options {
	var o options
	flag.StringVar(&o.dir, "dir", "", "data folder; a state found there is continued (default: a fresh temporary folder, removed at the end)")
	flag.IntVar(&o.port, "port", 0, "port of the API server (0: a free one)")
	flag.StringVar(&o.bind, "bind", "127.0.0.1", "address to listen on; must be a loopback address")
	flag.StringVar(&o.auditLog, "audit-log", "", "write every request to this file, one JSON line each, at Metadata level")
	flag.StringVar(&o.assets, "assets", os.Getenv("KUBEBUILDER_ASSETS"), "folder of etcd and kube-apiserver programs to use instead of the built-in ones")
	flag.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "exit when standard input reaches its end")
	flag.DurationVar(&o.startTimeout, "start-timeout", durationFromEnv("KUBEBUILDER_CONTROLPLANE_START_TIMEOUT", 60*time.Second), "give up when not ready after this long")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: controlplane [flags] [-- flags for kube-apiserver]")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.apiserverArgs = flag.Args()
	return o
}

func durationFromEnv(name string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil {
		return d
	}
	return fallback
}

// exiting runs what must happen before the process ends; ending is always abrupt, because kube-apiserver's
// graceful stop waits a minute for its in-process watchers and the state is throw-away.
type exiting struct{ steps []func() }

func (e *exiting) before(step func()) { e.steps = append(e.steps, step) }

func (e *exiting) now(code int) {
	for i := len(e.steps) - 1; i >= 0; i-- {
		e.steps[i]()
	}
	os.Exit(code)
}

func runControlPlane() {
	runtime.LockOSThread() // children started with dieWithParent die when the thread that started them ends
	o := parseOptions()
	end := &exiting{}
	stderr := os.Stderr
	fail := func(err error) {
		_, _ = fmt.Fprintf(stderr, "controlplane: %v\n%s", err, o.lastOfLog())
		end.now(1)
	}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if o.exitWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}

	ready := make(chan string, 1)
	failed := make(chan error, 3)
	if err := o.prepareDir(end); err != nil {
		fail(err)
	}
	if os.Getenv("KUBEBUILDER_ATTACH_CONTROL_PLANE_OUTPUT") != "true" {
		log, err := os.OpenFile(o.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			fail(err)
		}
		os.Stderr = log // etcd and Kubernetes take it from here when they set up their logging
	}
	servers, err := o.startServers(end, failed)
	if err != nil {
		fail(err)
	}
	go func() {
		kubeconfig, err := bringUp(servers, o)
		if err != nil {
			failed <- err
			return
		}
		ready <- kubeconfig
	}()

	timeout := time.After(o.startTimeout)
	for {
		select {
		case kubeconfig := <-ready:
			timeout = nil
			fmt.Println("READY", kubeconfig)
		case err := <-failed:
			fail(err)
		case <-timeout:
			fail(fmt.Errorf("not ready after %s", o.startTimeout))
		case <-stop:
			end.now(0)
		}
	}
}

// prepareDir makes the data folder; one that was not asked for by name is removed at the end.
func (o *options) prepareDir(end *exiting) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "controlplane-")
		if err != nil {
			return err
		}
		o.dir = dir
		end.before(func() { _ = os.RemoveAll(dir) })
		return nil
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	o.dir = dir
	return os.MkdirAll(dir, 0o700)
}

func (o *options) logFile() string { return filepath.Join(o.dir, "controlplane.log") }

func (o *options) lastOfLog() string {
	const most = 3000
	log, err := os.ReadFile(o.logFile())
	if err != nil {
		return ""
	}
	return string(log[max(0, len(log)-most):])
}

// bringUp waits for the API server, starts the controllers and writes the administrator's kubeconfig.
func bringUp(s *servers, o options) (string, error) {
	ctx := context.Background()
	admin, err := s.config("controlplane:admin")
	if err != nil {
		return "", err
	}
	own, err := s.config(controllersUser)
	if err != nil {
		return "", err
	}
	if err := waitReady(ctx, own); err != nil {
		return "", err
	}
	if err := startControllers(ctx, own); err != nil {
		return "", fmt.Errorf("starting the controllers: %w", err)
	}
	path := filepath.Join(o.dir, "kubeconfig")
	return path, writeKubeconfig(path, admin)
}

func waitReady(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for {
		var status int
		client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status)
		if status == http.StatusOK {
			return nil
		}
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			return errors.New("the API server does not accept the administrator's certificate")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

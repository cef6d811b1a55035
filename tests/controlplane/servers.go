package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// controllersUser is left out of the audit log, as is the API server's own client.
const controllersUser = "controlplane:controllers"

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: ["` + controllersUser + `", "system:apiserver"]}
# One line a request: a watch when it begins, since it may outlive the test; everything else when it is answered.
- {level: Metadata, verbs: [watch], omitStages: [RequestReceived, ResponseComplete]}
- {level: Metadata, omitStages: [RequestReceived, ResponseStarted]}
`

// servers are the running etcd and kube-apiserver.
type servers struct {
	pki  *pki
	host string
}

func (s *servers) config(user string) (*rest.Config, error) {
	cert, key, err := s.pki.clientCert(user, "system:masters")
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            s.host,
		QPS:             -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.pki.caPEM, CertData: cert, KeyData: key},
	}, nil
}

// startServers starts both servers and returns without waiting for them; what ends early reports on failed.
func (o *options) startServers(end *exiting, failed chan<- error) (*servers, error) {
	ip := net.ParseIP(o.bind)
	if ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("-bind %s is not a loopback address: this control plane is for tests, its keys lie in a temporary folder", o.bind)
	}
	p, err := loadOrMakePKI(o.dir, ip)
	if err != nil {
		return nil, err
	}
	var etcdURL string
	if o.assets == "" {
		etcdURL, err = o.startEmbeddedEtcd()
	} else {
		etcdURL, err = o.startExternalEtcd(end, failed)
	}
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	args, err := o.kubeAPIServerArgs(etcdURL)
	if err != nil {
		return nil, err
	}
	if o.assets == "" {
		go func() {
			command := app.NewAPIServerCommand()
			command.SetArgs(args)
			failed <- fmt.Errorf("kube-apiserver ended: %v", command.Execute())
		}()
	} else if err := o.startProgram(end, failed, "kube-apiserver", args...); err != nil {
		return nil, err
	}
	return &servers{pki: p, host: "https://" + net.JoinHostPort(o.bind, strconv.Itoa(o.port))}, nil
}

func (o *options) startEmbeddedEtcd() (string, error) {
	anyPort := []url.URL{{Scheme: "http", Host: net.JoinHostPort(o.bind, "0")}}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(o.dir, "etcd")
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{filepath.Join(o.dir, "etcd.log")}
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = anyPort, anyPort
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = anyPort, anyPort
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", err
	}
	select {
	case <-server.Server.ReadyNotify():
		return "http://" + server.Clients[0].Addr().String(), nil
	case err := <-server.Err():
		return "", err
	case <-time.After(o.startTimeout):
		return "", fmt.Errorf("not ready after %s", o.startTimeout)
	}
}

func (o *options) startExternalEtcd(end *exiting, failed chan<- error) (string, error) {
	port, err := reservePort(o.bind)
	if err != nil {
		return "", err
	}
	address, anyPort := "http://"+net.JoinHostPort(o.bind, strconv.Itoa(port.number)), "http://"+net.JoinHostPort(o.bind, "0")
	port.release() // etcd shares no port
	return address, o.startProgram(end, failed, "etcd", "--data-dir="+filepath.Join(o.dir, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+address, "--advertise-client-urls="+address, "--listen-peer-urls="+anyPort)
}

// startProgram runs a program of the assets folder, which ends with this process.
func (o *options) startProgram(end *exiting, failed chan<- error, name string, args ...string) error {
	program := exec.Command(filepath.Join(o.assets, name), args...)
	program.Stdout, program.Stderr = os.Stderr, os.Stderr
	program.SysProcAttr = dieWithParent()
	if err := program.Start(); err != nil {
		return fmt.Errorf("%w (-assets or KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver)", err)
	}
	end.before(func() { _ = program.Process.Kill() })
	go func() {
		failed <- fmt.Errorf("%s ended: %v", name, program.Wait())
	}()
	return nil
}

func (o *options) kubeAPIServerArgs(etcdURL string) ([]string, error) {
	in := func(file string) string { return filepath.Join(o.dir, file) }
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + o.bind, "--advertise-address=" + o.bind,
		"--tls-cert-file=" + in("server.crt"), "--tls-private-key-file=" + in("server.key"),
		"--client-ca-file=" + in("ca.crt"),
		"--authorization-mode=RBAC", "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + in("sa.key"), "--service-account-signing-key-file=" + in("sa.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
		"--profiling=false", "--v=0",
	}
	if o.port == 0 {
		port, err := reservePort(o.bind)
		if err != nil {
			return nil, err
		}
		o.port = port.number // stays reserved until the process ends
		args = append(args, "--permit-port-sharing=true")
	}
	args = append(args, "--secure-port="+strconv.Itoa(o.port))
	if o.auditLog != "" {
		if err := os.WriteFile(in("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--audit-policy-file="+in("audit-policy.yaml"), "--audit-log-path="+o.auditLog)
	}
	return append(args, o.apiserverArgs...), nil
}

type reservedPort struct{ socket, number int }

func (p reservedPort) release() { _ = unix.Close(p.socket) }

// reservePort binds a free port without listening on it: nobody else gets it, a server that shares ports does.
func reservePort(bind string) (reservedPort, error) {
	family, address := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if ip := net.ParseIP(bind); ip.To4() == nil {
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte(ip)}
	} else {
		address = &unix.SockaddrInet4{Addr: [4]byte(ip.To4())}
	}
	socket, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return reservedPort{}, err
	}
	unix.CloseOnExec(socket)
	if err := errors.Join(unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(socket, address)); err != nil {
		return reservedPort{}, err
	}
	name, err := unix.Getsockname(socket)
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return reservedPort{socket, name.Port}, nil
	case *unix.SockaddrInet6:
		return reservedPort{socket, name.Port}, nil
	default:
		return reservedPort{}, errors.Join(err, errors.New("no port was bound"))
	}
}

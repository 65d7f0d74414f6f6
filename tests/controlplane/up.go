package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	serviceRange = "10.96.0.0/24,fd00:96::/112"
	serviceIP    = "10.96.0.1"
)

type options struct {
	dataDir                 string
	fsync                   bool
	audit                   bool
	auditLog                string
	etcdPort, apiserverPort int
	parentPID               int
	exitOnStdinClose        bool
	gcSync, startTimeout    time.Duration
}

// ready is the one line on standard output.
type ready struct {
	Kubeconfig string `json:"kubeconfig"`
	URL        string `json:"url"`
	PID        int    `json:"pid"`
	Etcd       string `json:"etcd"`
	AuditLog   string `json:"auditLog"`
	DataDir    string `json:"dataDir"`
}

var errStopped = errors.New("stopped before it was ready")

func up(o options) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		cancel(fmt.Errorf("received %v", <-signals))
		<-signals
		os.Exit(1)
	}()
	if o.parentPID != 0 {
		go func() { cancel(waitForExit(o.parentPID)) }()
	}
	if o.exitOnStdinClose {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel(errors.New("standard input ended"))
		}()
	}

	if o.dataDir == "" {
		dir, err := os.MkdirTemp("", "controlplane-")
		if err != nil {
			return err
		}
		o.dataDir = dir
		defer func() { _ = os.RemoveAll(dir) }()
	}
	if o.audit && o.auditLog == "" {
		o.auditLog = filepath.Join(o.dataDir, "audit.log")
	}
	for _, path := range []*string{&o.dataDir, &o.auditLog} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if err := os.MkdirAll(o.dataDir, 0o700); err != nil {
		return err
	}
	held, err := lock(o.dataDir)
	if err != nil {
		return err
	}
	defer held.Close()
	logFile, err := redirectLogs(o.dataDir)
	if err != nil {
		return err
	}

	err = run(ctx, o)
	klog.InfoS("Control plane ends", "cause", context.Cause(ctx), "err", err)
	klog.Flush()
	if err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("%w (log: %s)", err, logFile)
	}
	return nil
}

func run(ctx context.Context, o options) error {
	began := time.Now()
	p, err := openOrCreatePKI(o.dataDir)
	if err != nil {
		return err
	}
	s, err := readState(o.dataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if o.etcdPort != 0 {
		s.EtcdPort = o.etcdPort
	}
	if o.apiserverPort != 0 {
		s.APIServerPort = o.apiserverPort
	}
	etcd, etcdPort, err := startEtcd(filepath.Join(o.dataDir, "etcd"), s.EtcdPort, o.fsync, logPath(o.dataDir))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	// Not etcd.Close: it waits for clients that hold watches, and the last of them end with this process.
	defer within(3*time.Second, etcd.Server.Stop)
	klog.InfoS("etcd serves", "after", time.Since(began))

	listener, apiserverPort, err := listen(s.APIServerPort)
	if err != nil {
		return err
	}
	s = state{EtcdPort: etcdPort, APIServerPort: apiserverPort}
	if err := s.write(o.dataDir); err != nil {
		return err
	}
	admin, err := p.kubeconfig(s.url(), "admin", []string{"system:masters"})
	if err != nil {
		return err
	}
	// A user of its own, so that the audit log tells its requests from the tests'.
	internal, err := p.kubeconfig(s.url(), "system:kube-controller-manager", []string{"system:masters"})
	if err != nil {
		return err
	}
	internalPath := filepath.Join(o.dataDir, "controller-manager.kubeconfig")
	if err := writeFile(internalPath, internal); err != nil {
		return err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(internal)
	if err != nil {
		return err
	}

	failed := make(chan error, 3)
	stopAPIServer := startAPIServer(ctx, o, p, s, listener, failed)
	defer stopAPIServer()
	startCtx, cancelStart := context.WithTimeoutCause(ctx, o.startTimeout, fmt.Errorf("not ready after %s", o.startTimeout))
	defer cancelStart()
	client, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "controlplane"))
	if err != nil {
		return err
	}
	if err := waitFor(startCtx, failed, func(ctx context.Context) bool {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	}); err != nil {
		return err
	}
	klog.InfoS("kube-apiserver is ready", "after", time.Since(began))

	controllers, cancelControllers := context.WithCancel(ctx)
	defer cancelControllers()
	if err := startControllers(controllers, p, config, o.gcSync); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	if err := waitFor(startCtx, failed, func(ctx context.Context) bool { return controllersWork(ctx, client) }); err != nil {
		return err
	}
	adminPath := filepath.Join(o.dataDir, "admin.kubeconfig")
	if err := writeFile(adminPath, admin); err != nil {
		return err
	}
	klog.InfoS("Control plane is ready", "after", time.Since(began))
	debug.FreeOSMemory()
	line, err := json.Marshal(ready{
		Kubeconfig: adminPath, URL: s.url(), PID: os.Getpid(), Etcd: s.etcd(), AuditLog: o.auditLog, DataDir: o.dataDir,
	})
	if err != nil {
		return err
	}
	fmt.Println(string(line))

	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	case err := <-etcd.Err():
		return fmt.Errorf("etcd ended: %w", orUnknown(err))
	}
}

// controllersWork tells whether the namespace `default` is fit for use: its service account and the certificate
// authority for it are what the controllers make first.
func controllersWork(ctx context.Context, client kubernetes.Interface) bool {
	_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		if !apierrors.IsNotFound(err) {
			klog.ErrorS(err, "Waiting for the service account")
		}
		return false
	}
	_, err = client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return err == nil
}

func waitFor(ctx context.Context, failed <-chan error, done func(context.Context) bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		ok := done(attempt)
		cancel()
		if ok {
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return errStopped
		case <-ticker.C:
		}
	}
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("for no given reason")
	}
	return err
}

// within runs f and leaves it behind when it takes longer: the process ends anyway.
func within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

func logPath(dataDir string) string { return filepath.Join(dataDir, "controlplane.log") }

// redirectLogs sends everything that goes to standard error from here on to the log file: klog looks at os.Stderr on
// every line.
func redirectLogs(dataDir string) (string, error) {
	path := logPath(dataDir)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	os.Stderr = f
	return path, debug.SetCrashOutput(f, debug.CrashOptions{})
}

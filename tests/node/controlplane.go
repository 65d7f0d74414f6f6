package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// controlPlane is that of tests/controlplane, which runs outside of the node's namespaces.
type controlPlane struct {
	program, dir string
	// admin is the kubeconfig of the administrator.
	admin string
	// address of the API server, host and port.
	address string
	client  kubernetes.Interface
}

// openControlPlane takes the one that the options name, or starts one, which stop ends.
func openControlPlane(o options, s settings, failed chan<- error) (c controlPlane, stop func(), err error) {
	c = controlPlane{program: o.program, dir: o.controlplane}
	stop = func() {}
	if c.dir == "" {
		c.dir = s.path("controlplane")
		if stop, err = c.start(failed); err != nil {
			return c, stop, err
		}
	}
	c.admin = filepath.Join(c.dir, "admin.kubeconfig")
	config, err := clientcmd.BuildConfigFromFlags("", c.admin)
	if err != nil {
		return c, stop, err
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return c, stop, err
	}
	c.address = server.Host
	c.client, err = kubernetes.NewForConfig(config)
	return c, stop, err
}

func (c controlPlane) start(failed chan<- error) (stop func(), err error) {
	stop = func() {}
	cmd := exec.Command(c.program, "up", "--data-dir", c.dir, "--exit-on-stdin-close")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return stop, err
	}
	if _, err := cmd.StdinPipe(); err != nil {
		return stop, err
	}
	if err := cmd.Start(); err != nil {
		return stop, fmt.Errorf("control plane: %w", err)
	}
	ended := make(chan struct{})
	line := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(output).ReadString('\n')
		line <- err
		err = cmd.Wait()
		close(ended)
		failed <- fmt.Errorf("the control plane ended: %v", err)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	if err := <-line; err != nil {
		return stop, errors.New("the control plane did not start")
	}
	return stop, nil
}

// admit writes the kubeconfigs of the node, and lets nodes do what nodes do: tests/controlplane has no authorizer for them.
func (c controlPlane) admit(ctx context.Context, s settings) error {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "tests:nodes"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"}},
	}
	if _, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	users := []struct{ name, user, group string }{
		{"kubelet", "system:node:" + s.Name, "system:nodes"},
		{"scheduler", "system:kube-scheduler", ""},
		{"controllers", "system:kube-controller-manager", "system:masters"},
	}
	done := make(chan error, len(users))
	for _, it := range users {
		go func() {
			output, err := exec.Command(c.program, "kubeconfig", "--data-dir", c.dir, "--user", it.user, "--group", it.group).Output()
			if err == nil {
				err = os.WriteFile(s.kubeconfig(it.name), output, 0o600)
			}
			done <- err
		}()
	}
	for range users {
		if err := <-done; err != nil {
			return fmt.Errorf("kubeconfig: %w", err)
		}
	}
	return nil
}

// nodeReady waits until Pods can be scheduled to the node. What an earlier kubelet reported does not count.
func (c controlPlane) nodeReady(ctx context.Context, name string, since time.Time) error {
	for ctx.Err() == nil {
		node, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && isReady(node, since) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ctx.Err()
}

func isReady(node *corev1.Node, since time.Time) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue && !condition.LastHeartbeatTime.Time.Before(since.Truncate(time.Second))
		}
	}
	return false
}
